//! Addresses to listen on: taken, and changed.

use std::net::TcpListener;
use std::time::Duration;

use super::world::World;
use crate::shop::free_address;

#[tokio::test]
async fn a_service_whose_address_is_taken_keeps_no_other_from_being_served() {
    let mut world = World::start(&[]).await;
    let taken = free_address();
    let other = format!("{}-other", world.service);
    let blocked = world.create_of(&other, "1.0", &taken).await.unwrap();
    world.until(&blocked, "promoted").await;
    world.crash().await;
    let foreign = occupy(&taken).await;
    world.start_again().await;
    world.until_view(&blocked, |view| view.notices.iter().any(|text| text.contains(&taken))).await;
    let id = world.canary().await;
    let in_force =
        |view: &server::view::RolloutView| view.tracks.iter().any(|t| t.in_force.is_some());
    world.until_view(&id, in_force).await;
    drop(foreign);
    world.until_view(&id, |view| view.notices.is_empty()).await;
    world.engine.stop().await;
}

/// Listens there as soon as whoever did before has left.
async fn occupy(address: &str) -> TcpListener {
    for _ in 0..1_000 {
        if let Ok(listener) = TcpListener::bind(address) {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{address} is never left");
}

#[tokio::test]
async fn a_first_release_whose_address_is_taken_is_not_begun() {
    let world = World::start(&[]).await;
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = foreign.local_addr().unwrap().to_string();
    let refused = world.create_of("blocked", "1.0", &taken).await.unwrap_err().to_string();
    assert!(refused.starts_with(&format!("cannot listen on {taken}: ")), "{refused}");
    drop(foreign);
    world.create_of("blocked", "1.0", &taken).await.unwrap();
    world.engine.stop().await;
}

#[tokio::test]
async fn a_service_moves_to_another_address_on_purpose_alone() {
    let mut world = World::start(&[]).await;
    let first = world.create("1.0").await.unwrap();
    world.until(&first, "promoted").await;
    let before = std::mem::replace(&mut world.listen, free_address());
    let refused = world.create("2.0").await.unwrap_err().to_string();
    assert!(refused.contains(&before) && refused.ends_with("--new-listen"), "{refused}");
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

#[tokio::test]
async fn a_service_moves_from_one_interface_to_all_of_them_on_its_port() {
    let world = World::start(&[]).await;
    let first = world.create("1.0").await.unwrap();
    world.until(&first, "promoted").await;
    let port = world.listen.rsplit_once(':').unwrap().1;
    let everywhere = format!("0.0.0.0:{port}");
    let second = world.create_at("2.0", &everywhere).await.unwrap();
    world.until(&second, "running").await;
    world.promote(&second).await.unwrap();
    world.promote(&second).await.unwrap();
    world.until(&second, "promoted").await;
    assert_eq!(world.route().listen, everywhere);
    let other = format!("127.0.0.2:{port}");
    tokio::net::TcpStream::connect(&other).await.expect("it listens on all of them");
    world.until_view(&second, |view| view.notices.is_empty()).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn a_release_that_would_take_back_the_move_under_way_is_asked_for_on_purpose() {
    let world = World::start(&[]).await;
    let first = world.create("1.0").await.unwrap();
    world.until(&first, "promoted").await;
    let elsewhere = free_address();
    let second = world.create_at("2.0", &elsewhere).await.unwrap();
    world.until(&second, "running").await;
    let refused = world.create("3.0").await.unwrap_err().to_string();
    assert!(refused.contains(&elsewhere) && refused.ends_with("--new-listen"), "{refused}");
    world.engine.stop().await;
}

#[tokio::test]
async fn a_receiver_whose_secret_is_not_there_is_told_of_when_the_rollout_starts() {
    let mut world = World::start(&[]).await;
    world.more =
        "notify: [ { webhook: \"http://127.0.0.1:9/hook\", secret: \"env:SLUICE_NOT_SET\" } ]\n"
            .to_owned();
    let id = world.create("1.0").await.unwrap();
    let told = |view: &server::view::RolloutView| {
        view.notices.iter().any(|text| text.contains("SLUICE_NOT_SET is not set"))
    };
    world.until_view(&id, told).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn services_share_an_address_where_their_routes_differ() {
    let mut world = World::start(&[]).await;
    let first = world.create("1.0").await.unwrap();
    world.until(&first, "promoted").await;
    let api = format!("{}-api", world.service);
    let refused = world.create_of(&api, "1.0", &world.listen).await.unwrap_err().to_string();
    assert!(refused.contains("both are for everything; give it other hosts or paths"), "{refused}");
    world.more = "route: { hosts: [api.example], paths: [/api, /v2] }\n".to_owned();
    let beside = world.create_of(&api, "1.0", &world.listen).await.unwrap();
    world.until(&beside, "promoted").await;
    // A third one is compared with those that wait as well.
    let third = format!("{}-third", world.service);
    let refused = world.create_of(&third, "1.0", &world.listen).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("{api}: both are for api.example/api")), "{refused}");

    world.service = api;
    world.more = "route: { hosts: [api.example], paths: [/api, /v3] }\n".to_owned();
    let refused = world.create("2.0").await.unwrap_err().to_string();
    assert!(refused.contains("is for /v2 on") && refused.ends_with("--new-listen"), "{refused}");
    world.more = "route: { paths: [/] }\nlimits: { fields: 50 }\n".to_owned();
    let refused = world.create("2.0").await.unwrap_err().to_string();
    assert!(refused.contains("both are for everything"), "{refused}");
    world.more = "route: { hosts: [api.example, x.example], paths: [/api, /v2] }\n".to_owned();
    let wider = world.create("2.0").await.unwrap();
    world.until(&wider, "running").await;
    assert_eq!(world.route().route.hosts, ["api.example"], "until its release is stable");
    world.promote(&wider).await.unwrap();
    world.promote(&wider).await.unwrap();
    world.until(&wider, "promoted").await;
    assert_eq!(world.route().route.hosts, ["api.example", "x.example"]);
    world.engine.stop().await;
}
