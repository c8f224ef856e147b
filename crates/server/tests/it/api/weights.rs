//! The shares of traffic as one pair of numbers.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::client::{Answer, Ask, PATIENCE};
use super::world::Controller;

async fn read(controller: &Controller) -> Value {
    controller.ask(Ask::get("/api/traffic-weights")).await.json()
}

async fn write(controller: &Controller, stable: f64, canary: f64) -> Answer {
    let body = json!({ "stable": stable, "canary": canary });
    controller.ask(Ask::post("/api/traffic-weights").json(&body)).await
}

/// 002-C7.
#[tokio::test]
async fn weights_are_read_lowered_lifted_and_set_to_zero() {
    let mut controller = Controller::start().await;
    let id = controller.canary().await;
    // What is read is in force: the share is withheld until the canary has proven healthy.
    let planned = json!({ "stable": 0.9, "canary": 0.1 });
    let in_force = async {
        while read(&controller).await != planned {
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(PATIENCE, in_force).await.is_ok(), "the canary's share never came into force");
    let lowered = write(&controller, 0.97, 0.03).await;
    assert_eq!((lowered.status, lowered.json()), (200, json!({ "stable": 0.97, "canary": 0.03 })));
    assert_eq!(read(&controller).await, json!({ "stable": 0.97, "canary": 0.03 }));
    let above = write(&controller, 0.8, 0.2).await;
    assert_eq!(above.refusal(), (409, "above-stage".to_owned()));
    let lifted: Value = write(&controller, 0.9, 0.1).await.json();
    assert_eq!(lifted, json!({ "stable": 0.9, "canary": 0.1 }));
    assert_eq!(write(&controller, 0.5, 0.6).await.refusal(), (400, "invalid".to_owned()));
    let back: Value = write(&controller, 1.0, 0.0).await.json();
    assert_eq!(back, json!({ "stable": 1.0, "canary": 0.0 }));
    controller.until(&id, "rolled back").await;
    assert_eq!(read(&controller).await, json!({ "stable": 1.0, "canary": 0.0 }));
    assert_eq!(write(&controller, 1.0, 0.0).await.status, 200, "it is so already");
    assert_eq!(write(&controller, 0.9, 0.1).await.refusal(), (409, "not-running".to_owned()));
    controller.stop().await;
}

#[tokio::test]
async fn the_service_is_named_when_there_are_several() {
    let mut controller = Controller::start().await;
    let id = controller.create("1.0").await;
    controller.until(&id, "promoted").await;
    let named = format!("/api/traffic-weights?service={}", controller.service);
    let weights: Value = controller.ask(Ask::get(&named)).await.json();
    assert_eq!(weights, json!({ "stable": 1.0, "canary": 0.0 }));
    let mut other = controller.wanted("1.0");
    other["plan"] = json!(Controller::plan_of("other", "['false', '{port}']"));
    assert_eq!(controller.ask(Ask::post("/api/rollouts").json(&other)).await.status, 201);
    let unclear = controller.ask(Ask::get("/api/traffic-weights")).await;
    assert_eq!(unclear.refusal(), (400, "invalid".to_owned()));
    let both = format!("other, {}", controller.service);
    assert!(unclear.body.contains(&both), "{}", unclear.body);
    assert_eq!(controller.ask(Ask::get(&named)).await.status, 200);
    controller.stop().await;
}
