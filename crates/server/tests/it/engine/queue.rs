//! Rollouts that wait, and newer ones that take their place.

use super::world::World;
use server::view::RolloutState;

/// One is under way, one waits, and a newer one could not take its place: the ids of the two.
async fn two_waiting(world: &World) -> [rollout::machine::RolloutId; 2] {
    world.canary().await;
    let older = world.create("3.0").await.unwrap();
    world.log.refuse(Some("superseded"));
    let newer = world.create("4.0").await.unwrap();
    for id in [&older, &newer] {
        assert_eq!(world.engine.view(id).await.unwrap().state, RolloutState::Waiting);
    }
    [older, newer]
}

#[tokio::test]
async fn an_older_rollout_gives_up_its_place_once_that_can_be_written() {
    let world = World::start(&[]).await;
    let [older, newer] = two_waiting(&world).await;
    world.log.refuse(None);
    let view = world.until(&older, "superseded").await;
    assert!(view.why.contains(&newer.0), "{}", view.why);
    assert_eq!(world.engine.view(&newer).await.unwrap().state, RolloutState::Waiting);
    assert_eq!(world.kinds(&older).await, ["created", "superseded"]);
    world.engine.stop().await;
}

#[tokio::test]
async fn it_does_so_though_the_controller_was_killed_before_it_could() {
    let mut world = World::start(&[]).await;
    let [older, newer] = two_waiting(&world).await;
    world.crash().await;
    world.log.refuse(None);
    world.start_again().await;
    world.until(&older, "superseded").await;
    assert_eq!(world.engine.view(&newer).await.unwrap().state, RolloutState::Waiting);
    assert_eq!(world.kinds(&older).await, ["created", "superseded"]);
    world.engine.stop().await;
}
