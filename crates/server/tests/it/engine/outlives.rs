//! What a controller that is killed must not forget, though its log could not be written.

use rollout::units::Weight;
use tokio::time::timeout;

use super::world::{PATIENCE, World};

/// The rollouts that are marked to go back.
fn marked(world: &World) -> Vec<String> {
    let entries = std::fs::read_dir(world.marks()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_rollback_that_was_never_written_outlives_the_controller() {
    let mut world = World::start(&[]).await;
    let id = world.canary().await;
    world.log.set_out(true);
    world.roll_back(&id).await.unwrap_err();
    assert_eq!(marked(&world), [id.to_string()]);
    world.crash().await;
    world.log.set_out(false);
    world.start_again().await;
    let view = world.until(&id, "rolled back").await;
    assert!(view.why.contains("ada asked for it (it smells)"), "{}", view.why);
    let kinds = world.kinds(&id).await;
    let backs = kinds.iter().filter(|kind| *kind == "rollback_started").count();
    assert_eq!(backs, 1, "{kinds:?}");
    assert_eq!(marked(&world), Vec::<String>::new());
    world.engine.stop().await;
}

#[tokio::test]
async fn no_proxy_gives_the_canary_traffic_before_that_is_written() {
    let mut world = World::start(&[]).await;
    let id = world.canary().await;
    assert_eq!(world.route().canary.unwrap().weight, Weight::percent(10));
    world.log.set_out(true);
    world.roll_back(&id).await.unwrap_err();
    world.crash().await;
    world.log.set_out(false);
    // The log can be read again, and not written.
    world.start_failing(100_000).await;
    let mut snapshots = world.engine.snapshots();
    let service = world.service.clone();
    let ours = snapshots
        .wait_for(|snapshot| snapshot.services.iter().any(|route| route.service == service));
    let served = timeout(PATIENCE, ours).await.unwrap().unwrap().clone();
    let canary = served.services.iter().find_map(|route| route.canary.clone());
    assert_eq!(canary.map(|canary| canary.weight), Some(Weight::ZERO));
    world.crash().await;
    assert_eq!(marked(&world), [id.to_string()], "and it is not forgotten the second time");
    world.start_again().await;
    world.until(&id, "rolled back").await;
    world.engine.stop().await;
}

#[tokio::test]
async fn a_rollback_the_log_has_after_all_is_not_made_twice() {
    let mut world = World::start(&[]).await;
    let id = world.canary().await;
    world.log.set_out(true);
    world.roll_back(&id).await.unwrap_err();
    world.log.set_out(false);
    world.until(&id, "rolled back").await;
    world.crash().await;
    // As if it had been killed between the log and the mark.
    std::fs::write(world.marks().join(&id.0), "").unwrap();
    let before = world.kinds(&id).await;
    world.start_again().await;
    assert_eq!(marked(&world), Vec::<String>::new());
    assert_eq!(world.kinds(&id).await, before);
    world.engine.stop().await;
}
