//! A stage of copies, from the plan to the figures.

use server::engine::Create;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::{World, by};
use crate::shop::{command, plan};

/// The answer to one plain request.
async fn ask(address: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_release_gets_copies_before_its_first_users() {
    let world = World::start(&[]).await;
    let first = world.create("1.0").await.unwrap();
    world.until(&first, "promoted").await;
    let stages = "stages:\n  - { name: shadow, traffic: 0%, mirror: 100%, for: 500ms }\n";
    let plan = plan(&world.service, &world.listen, &command()).replace("stages:\n", stages);
    let create = Create {
        plan_name: "sluice.yaml".to_owned(),
        plan: plan + "forgive: 100ms\nmin_requests: 5\n",
        version: "2.0".to_owned(),
        directory: std::env::temp_dir().display().to_string(),
        again: false,
        new_listen: false,
        by: by(),
    };
    let second = world.engine.create(create).await.unwrap();
    world.until(&second, "running").await;
    let is_on = |view: &server::view::RolloutView, stage: &str| {
        view.stages.iter().any(|it| it.name == stage && it.status == "current")
    };
    for _ in 0..1_000 {
        let view = world.engine.view(&second).await.unwrap();
        if is_on(&view, "canary") {
            break;
        }
        assert!(is_on(&view, "shadow") && view.weight.is_zero(), "{view:?}");
        let answer = ask(&world.listen).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let view = world.until_view(&second, |view| is_on(view, "canary")).await;
    assert!(view.last_move.contains("entered stage canary at 10%"), "{}", view.last_move);
    let events = world.engine.history(&second, 0).await.unwrap();
    let text = format!("{events:?}");
    assert!(text.contains("Mirrored { sent: "), "copies are in the log: {text}");
    assert!(!text.contains("different: 1"), "the versions answer the same: {text}");
    world.engine.stop().await;
}
