//! Messages that are owed: performed after the fact, at least once, never in its way.
//!
//! The end of a delivery is an event first and a mark in the outbox second. A crash in between
//! sends the message again under the same key, which the receiver tells apart; the other order
//! could lose the event.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollout::machine::{Delivery, RolloutId, Settled};
use rollout::plan::Webhook;
use rollout::units::Millis;
use store::outbox::{Delivery as Pending, Outcome};
use tokio::sync::Notify;

use super::clock::Clock;
use super::handle::{Engine, EngineError};
use crate::notifiers::{self, Client, DeliveryError};

/// How many messages are taken at a time.
const BATCH: u32 = 32;
/// How long to wait when nothing new is owed: a message to be tried again may be due.
const IDLE: Millis = Millis::from_secs(1);

/// Delivers what is owed until the engine stops.
pub(super) async fn run(engine: Engine, owed: Arc<Notify>, clock: Clock) {
    let client = match notifiers::client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "messages cannot be delivered");
            return;
        }
    };
    let mut unwritten = BTreeMap::new();
    while !engine.asks.is_closed() {
        if let Err(error) = deliver_due(&engine, &client, clock, &mut unwritten).await {
            tracing::error!(%error, "the outbox is not served");
        }
        // Woken early or not, the next round looks at what is due.
        let _ = tokio::time::timeout(IDLE.to_std(), owed.notified()).await;
    }
}

/// `unwritten` holds how attempts came out that could not be written down: while the log is
/// out, a receiver must not get the same message each second.
async fn deliver_due(
    engine: &Engine,
    client: &Client,
    clock: Clock,
    unwritten: &mut BTreeMap<String, Outcome>,
) -> Result<(), EngineError> {
    let due = engine.store.due(clock.now(), BATCH).await;
    for pending in due.map_err(|error| EngineError::Log(error.to_string()))? {
        let outcome = match unwritten.get(&pending.key) {
            Some(outcome) => outcome.clone(),
            None => attempt(engine, client, clock, &pending).await?,
        };
        unwritten.insert(pending.key.clone(), outcome.clone());
        conclude(engine, &pending, outcome).await?;
        unwritten.remove(&pending.key);
    }
    Ok(())
}

/// One attempt, unless the log says that it has come to its end before.
async fn attempt(
    engine: &Engine,
    client: &Client,
    clock: Clock,
    pending: &Pending,
) -> Result<Outcome, EngineError> {
    let rollout = engine.rollout(&RolloutId(pending.rollout.clone())).await?;
    if rollout.settled.contains(&pending.key) {
        return Ok(Outcome::Done);
    }
    let Ok(message) = serde_json::from_str::<Delivery>(&pending.body) else {
        return Ok(Outcome::Dead {
            reason: "this version of sluice cannot read the message".to_owned(),
        });
    };
    let Some(webhook) = rollout.plan.notify.get(message.receiver) else {
        return Ok(Outcome::Dead { reason: "the plan names no such receiver".to_owned() });
    };
    let body = body(&rollout.plan.service, &pending.rollout, pending, &message);
    Ok(send(client, clock, webhook, pending, &body).await)
}

async fn send(
    client: &Client,
    clock: Clock,
    webhook: &Webhook,
    pending: &Pending,
    body: &str,
) -> Outcome {
    match notifiers::webhook::deliver(client, webhook, &pending.key, clock.now(), body).await {
        Ok(()) => Outcome::Done,
        Err(error) => failed(clock, pending, &error),
    }
}

/// A failure is tried again after a while, unless the receiver does not want it or it has been
/// tried for long enough.
fn failed(clock: Clock, pending: &Pending, error: &DeliveryError) -> Outcome {
    let reason = error.to_string();
    let again = notifiers::backoff(pending.attempts).filter(|_| !error.permanent);
    match again {
        None => Outcome::Dead { reason },
        Some(wait) => {
            let wait = error.retry_after.map_or(wait, |asked| asked.max(wait));
            Outcome::Retry { next_at: clock.now().plus(wait), reason }
        }
    }
}

async fn conclude(engine: &Engine, pending: &Pending, outcome: Outcome) -> Result<(), EngineError> {
    let given_up = match &outcome {
        Outcome::Retry { reason, .. } => {
            tracing::warn!(key = pending.key, reason, "a message was not delivered");
            return engine.settle(&pending.key, outcome).await;
        }
        Outcome::Done => None,
        Outcome::Dead { reason } => Some(reason.clone()),
    };
    let settled = Settled { key: pending.key.clone(), given_up };
    engine.settled(RolloutId(pending.rollout.clone()), settled).await?;
    engine.settle(&pending.key, outcome).await
}

/// What a receiver gets.
fn body(service: &str, rollout: &str, pending: &Pending, message: &Delivery) -> String {
    serde_json::json!({
        "type": format!("rollout.{}", message.kind),
        "rollout": rollout,
        "service": service,
        "seq": pending.seq,
        "at": pending.owed_at,
        "level": message.level,
        "text": message.text,
    })
    .to_string()
}
