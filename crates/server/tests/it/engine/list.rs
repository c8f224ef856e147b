//! A service with a long past.

use std::time::Instant;

use rollout::machine::{Command, RolloutId};
use server::engine::Clock;
use server::view::RolloutState;
use store::log::{Append, Entry, Log as _};

use super::world::{PAST, World, by, lease};

/// Lets a service's first rollout have happened again and again.
async fn with_a_past() -> World {
    let mut world = World::start(&[]).await;
    let first = world.create("1.0").await.unwrap();
    world.until(&first, "promoted").await;
    world.crash().await;
    let mut log = world.log.connect();
    let held = lease(&mut log);
    let records = log.reader().events(&first.0, 0).unwrap();
    for number in 2..=PAST {
        let id = format!("{}-{number}", world.service);
        let (old, new) = (format!("\"{first}\""), format!("\"{id}\""));
        let entry = |kind: &String, body: &String| Entry {
            kind: kind.clone(),
            body: body.replace(&old, &new),
            owed: Vec::new(),
        };
        let entries = records.iter().map(|it| entry(&it.kind, &it.body)).collect();
        let append = Append { rollout: id, expected: 0, at: Clock.now(), entries };
        log.append(&held, append).unwrap();
    }
    drop(log);
    world.start_again().await;
    world
}

#[tokio::test]
async fn the_list_shows_what_is_over_without_what_is_observed_and_with_what_still_happens_to_it() {
    let world = with_a_past().await;
    let timed = async |what: &str| {
        let began = Instant::now();
        let views = world.engine.views().await.unwrap();
        println!("{what}: {} rollouts listed in {:?}", views.len(), began.elapsed());
        views
    };
    timed("at first").await;
    let views = timed("again").await;
    assert_eq!(views.len() as u64, PAST);
    assert!(
        views.iter().all(|view| view.state == RolloutState::Promoted && view.tracks.is_empty())
    );

    let old = RolloutId(format!("{}-7", world.service));
    let before = world.engine.view(&old).await.unwrap();
    assert!(!before.tracks.is_empty(), "by itself it is shown with what is observed");
    world.engine.command(&old, Command::Resume, by()).await.unwrap_err();
    let live = world.create("2.0").await.unwrap();
    world.until(&live, "running").await;
    let views = timed("with one under way").await;
    assert_eq!(views[0].id, live.0, "the newest first");
    assert_eq!(views[0].tracks.len(), 2);
    let seq = views.iter().find(|view| view.id == old.0).map(|view| view.seq);
    assert_eq!(seq, Some(before.seq + 1), "a refusal is on record");

    let began = Instant::now();
    let events = world.engine.history(&old, 0).await.unwrap();
    println!("the {} events of one in {:?}", events.len(), began.elapsed());
    world.engine.stop().await;
}
