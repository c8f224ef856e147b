//! Proxies of their own: which serve what, and what they count.

use rollout::route::Generation;
use rollout::units::Weight;
use server::engine::{Counted, ProxyReport};
use traffic::Observed;

use super::world::World;
use crate::deployer::world::processes;

fn report(generation: Generation) -> ProxyReport {
    ProxyReport {
        name: "edge".to_owned(),
        generation,
        counted: Some(Counted::default()),
        observed: Observed::default(),
        trips: Vec::new(),
        leaving: false,
    }
}

#[tokio::test]
async fn a_canary_runs_on_until_every_proxy_serves_without_it() {
    let world = World::without_proxy().await;
    let id = world.canary().await;
    let with_canary = world.engine.sync(report(Generation::default())).await.unwrap().snapshot;
    world.engine.sync(report(with_canary.generation)).await.unwrap();
    world.roll_back(&id).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        world.engine.sync(report(with_canary.generation)).await.unwrap();
        assert!(!processes(&id.0).is_empty(), "the proxy may send it requests still");
    }
    let without = world.engine.sync(report(with_canary.generation)).await.unwrap().snapshot;
    let weight = without.services.iter().find_map(|route| route.canary.as_ref()).map(|c| c.weight);
    assert_eq!(weight.unwrap_or(Weight::ZERO), Weight::ZERO);
    world.engine.sync(report(without.generation)).await.unwrap();
    let view = world.until(&id, "rolled back").await;
    assert!(view.over);
    assert!(processes(&id.0).is_empty());
    world.engine.stop().await;
}
