//! Addresses to listen on: taken, and changed.

use std::net::TcpListener;

use super::world::World;
use crate::shop::free_address;

#[tokio::test]
async fn a_service_whose_address_is_taken_keeps_no_other_from_being_served() {
    let world = World::start(&[]).await;
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = foreign.local_addr().unwrap().to_string();
    let other = format!("{}-other", world.service);
    let blocked = world.create_of(&other, "1.0", &taken).await.unwrap();
    world.until_view(&blocked, |view| view.notices.iter().any(|text| text.contains(&taken))).await;
    let id = world.canary().await;
    let in_force =
        |view: &server::view::RolloutView| view.tracks.iter().any(|t| t.in_force.is_some());
    world.until_view(&id, in_force).await;
    drop(foreign);
    world.until_view(&id, |view| view.notices.is_empty()).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn a_plan_that_listens_elsewhere_moves_the_door_only_once_its_release_is_stable() {
    let world = World::start(&[]).await;
    let first = world.create("1.0").await.unwrap();
    world.until(&first, "promoted").await;
    let elsewhere = free_address();
    let second = world.create_at("2.0", &elsewhere).await.unwrap();
    world.until(&second, "running").await;
    assert_eq!(world.route().listen, world.listen, "everyone still knocks there");
    world.promote(&second).await.unwrap();
    world.promote(&second).await.unwrap();
    world.until(&second, "promoted").await;
    assert_eq!(world.route().listen, elsewhere);
    world.engine.stop().await;
}
