//! Messages that are owed: to receivers that are slow, through logs that fail, across a crash.

use std::time::Duration;

use rollout::machine::{Event, RolloutId, Settled};
use server::engine::Clock;
use store::log::{Append, Entry, Log as _};
use store::outbox::{DeliveryState, Outcome};
use tokio::time::{sleep, timeout};

use super::world::{PATIENCE, World, lease};
use crate::webhook::receiver::Receiver;

/// Waits until `met`.
async fn until(what: &str, met: impl Fn() -> bool) {
    let wait = async {
        while !met() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, wait).await.is_ok(), "{what}");
}

/// The keys of the messages that came, in their order.
fn keys(receiver: &Receiver) -> Vec<String> {
    let requests = receiver.requests();
    requests.iter().map(|it| it.header("webhook-id").unwrap().to_owned()).collect()
}

/// Whether the delivery is done, as the outbox has it.
fn is_done(world: &World, id: &RolloutId, key: &str) -> bool {
    let owed = world.log.reader().deliveries(&id.0).unwrap();
    let done = |state: &DeliveryState| matches!(state, DeliveryState::Done { .. });
    owed.iter().any(|delivery| delivery.key == key && done(&delivery.state))
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_delays_no_other() {
    let slow = Receiver::with_status(204, "").await;
    let quick = Receiver::with_status(204, "").await;
    slow.hold(true);
    let mut world = World::start(&[]).await;
    world.tell(&[&slow, &quick]);
    let second = world.canary().await;
    until("the quick one hears of both rollouts", || keys(&quick).len() == 4).await;
    let heard = keys(&slow);
    // One after the other, it would have been attempted before each of the quick one's.
    assert!(heard.len() < 4, "{heard:?}");
    let first = RolloutId(format!("{}-1", world.service));
    let owed = |receiver: &str| -> Vec<String> {
        let of = |id: &RolloutId| world.log.reader().deliveries(&id.0).unwrap();
        let all = [&first, &second].into_iter().flat_map(of);
        all.filter(|it| it.receiver == receiver).map(|it| it.key).collect()
    };
    assert_eq!(keys(&quick), owed("1"), "in the order they were owed");
    slow.hold(false);
    let owed = owed("0");
    until("the slow one hears of all", || owed.iter().all(|key| keys(&slow).contains(key))).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn what_is_pending_is_due_at_once_at_a_start_whatever_the_clock_said() {
    let receiver = Receiver::with_status(503, "").await;
    let mut world = World::start(&[]).await;
    world.tell(&[&receiver]);
    let id = world.create("1.0").await.unwrap();
    let key = format!("{id}:2:0");
    until("it is attempted", || keys(&receiver).contains(&key)).await;
    world.crash().await;
    let mut log = world.log.connect();
    let next_at = Clock.now().plus(rollout::units::Millis::from_secs(30 * 86_400));
    let retry = Outcome::Retry { next_at, reason: "before the clock was set back".to_owned() };
    let held = lease(&mut log);
    log.settle(&held, &key, &retry, Clock.now()).unwrap();
    drop(log);
    let before = keys(&receiver).len();
    world.start_again().await;
    until("it is attempted again", || keys(&receiver)[before..].contains(&key)).await;
    world.engine.stop().await;
}

#[tokio::test]
async fn a_message_whose_end_cannot_be_written_is_not_sent_again() {
    let receiver = Receiver::with_status(204, "").await;
    receiver.hold(true);
    let mut world = World::start(&[]).await;
    world.tell(&[&receiver]);
    let id = world.create("1.0").await.unwrap();
    let key = format!("{id}:2:0");
    until("the first message comes", || keys(&receiver).len() == 1).await;
    world.log.set_full(true);
    receiver.hold(false);
    // Several of the outbox's rounds.
    sleep(Duration::from_millis(3_500)).await;
    assert_eq!(keys(&receiver), std::slice::from_ref(&key));
    assert!(!is_done(&world, &id, &key));
    world.log.set_full(false);
    until("its end is written", || is_done(&world, &id, &key)).await;
    let sent = keys(&receiver).into_iter().filter(|sent| *sent == key).count();
    assert_eq!(sent, 1);
    world.engine.stop().await;
}

#[tokio::test]
async fn a_message_whose_end_is_on_record_is_not_sent_again_after_a_crash() {
    let receiver = Receiver::with_status(204, "").await;
    receiver.hold(true);
    let mut world = World::start(&[]).await;
    world.tell(&[&receiver]);
    let id = world.create("1.0").await.unwrap();
    let key = format!("{id}:2:0");
    until("it comes", || keys(&receiver).contains(&key)).await;
    world.crash().await;
    // As if the controller had died between the event and the mark in the outbox.
    let event = Event::DeliverySettled(Settled { key: key.clone(), given_up: None });
    let body = serde_json::to_string(&event).unwrap();
    let entry = Entry { kind: event.kind().to_owned(), body, owed: Vec::new() };
    let mut log = world.log.connect();
    let expected = log.reader().events(&id.0, 0).unwrap().last().unwrap().seq;
    let (rollout, at) = (id.0.clone(), Clock.now());
    let held = lease(&mut log);
    log.append(&held, Append { rollout, expected, at, entries: vec![entry] }).unwrap();
    drop(log);
    receiver.hold(false);
    world.start_again().await;
    until("it is done", || is_done(&world, &id, &key)).await;
    let sent = keys(&receiver).into_iter().filter(|sent| *sent == key).count();
    assert_eq!(sent, 1);
    world.engine.stop().await;
}
