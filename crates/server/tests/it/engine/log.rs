//! A log that cannot be written, does not say, or belongs to somebody else.

use rollout::units::Weight;
use server::engine::EngineError;
use store::log::Log as _;
use store::memory::Fault;
use tokio::time::{Duration, timeout};

use super::world::{LEASE, World};

#[tokio::test]
async fn a_rollback_that_cannot_be_written_shuts_the_canary_out_and_is_written_later() {
    let world = World::start(&[]).await;
    let id = world.canary().await;
    assert_eq!(world.route().canary.unwrap().weight, Weight::percent(10));
    world.log.set_out(true);
    let answer = world.roll_back(&id).await;
    assert!(
        matches!(&answer, Err(EngineError::Log(why)) if why.contains("shut out")),
        "{answer:?}"
    );
    assert_eq!(world.route().canary.unwrap().weight, Weight::ZERO, "also for other proxies");
    assert!(!world.engine.view(&id).await.unwrap().notices.is_empty());
    world.log.set_out(false);
    let view = world.until(&id, "rolled back").await;
    assert_eq!(view.notices, Vec::<String>::new(), "the notice ends with its cause");
    world.engine.stop().await;
}

#[tokio::test]
async fn a_promotion_does_not_overtake_a_rollback_that_is_not_written_yet() {
    let world = World::start(&[]).await;
    let id = world.canary().await;
    world.log.set_out(true);
    world.roll_back(&id).await.unwrap_err();
    world.promote(&id).await.unwrap_err();
    world.log.set_out(false);
    let view = world.until(&id, "rolled back").await;
    assert!(view.last_move.contains("is out"), "{view:?}");
    world.engine.stop().await;
}

#[tokio::test]
async fn a_creation_nobody_knows_the_end_of_is_read_back_and_goes_on() {
    let world = World::start(&[Fault::UnknownAfter]).await;
    let answer = world.create("1.0").await;
    assert!(matches!(answer, Err(EngineError::Log(_))), "{answer:?}");
    let id = rollout::machine::RolloutId(format!("{}-1", world.service));
    world.until(&id, "promoted").await;
    world.engine.stop().await;
}

#[tokio::test]
async fn what_is_replayed_is_what_was_live() {
    let world = World::start(&[]).await;
    let id = world.canary().await;
    let live = world.engine.rollout(&id).await.unwrap();
    let events = world.engine.history(&id, 0).await.unwrap();
    let replayed = rollout::machine::Rollout::replay(
        events
            .iter()
            .map(|event| (event.at, &event.event))
            .take(usize::try_from(live.seq).unwrap()),
    );
    assert_eq!(replayed, Some(live));
    world.engine.stop().await;
}

#[tokio::test]
async fn moves_read_bit_by_bit_are_the_ones_of_the_whole_history() {
    let world = World::start(&[]).await;
    let first = world.create("1.0").await.unwrap();
    world.engine.moves(&first).await.unwrap();
    world.until(&first, "promoted").await;
    let texts = |events: Vec<server::view::EventView>| -> Vec<(u64, String)> {
        events.into_iter().map(|event| (event.seq, event.text)).collect()
    };
    let moves = texts(world.engine.moves(&first).await.unwrap());
    assert_eq!(moves, texts(world.engine.history(&first, 0).await.unwrap()));
    assert_eq!(moves.len(), 3, "{moves:?}");
    let none = rollout::machine::RolloutId("desk-0".to_owned());
    assert!(matches!(world.engine.moves(&none).await, Err(EngineError::Unknown(_))));
    world.engine.stop().await;
}

#[tokio::test]
async fn an_engine_that_lost_its_lease_stops() {
    let mut world = World::start(&[]).await;
    let later = server::engine::Clock.now().plus(LEASE.times(2));
    world.log.acquire("another", LEASE, later).unwrap();
    let answer = world.create("1.0").await;
    assert!(matches!(answer, Err(EngineError::Log(_))), "{answer:?}");
    timeout(Duration::from_secs(30), world.engine.ended()).await.expect("the loop ends");
}
