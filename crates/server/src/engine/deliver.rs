//! One message to one receiver: the attempt, and its end on record.
//!
//! The end of a delivery is an event first and a mark in the outbox second. A crash in between
//! sends nothing again, because the event is asked for first; the other order could lose it.

use rollout::machine::{Delivery, RolloutId, Settled};
use rollout::plan::Webhook;
use rollout::units::Millis;
use store::outbox::{Delivery as Pending, Outcome};

use super::clock::Clock;
use super::handle::{Engine, EngineError};
use crate::notifiers::{self, Client, DeliveryError};

/// How an attempt came out.
#[derive(Clone, Debug)]
pub(super) struct Attempted {
    outcome: Outcome,
    /// How long to wait before the next one, where there is to be one.
    wait: Millis,
}

/// What is left to do after an attempt.
#[derive(Debug)]
pub(super) enum Left {
    /// Nothing.
    Nothing,
    /// Another attempt, after so long.
    Attempt(Millis),
    /// The outcome is to be written down; the receiver must not get the message again for it.
    Write(Attempted),
    /// The attempt could not be made.
    All,
}

/// Makes one attempt, unless it was made before, and writes down how it came out.
pub(super) async fn perform(
    engine: &Engine,
    client: &Client,
    clock: Clock,
    pending: &Pending,
    before: Option<Attempted>,
) -> Left {
    let attempted = match before {
        Some(attempted) => attempted,
        None => match attempt(engine, client, clock, pending).await {
            Ok(attempted) => attempted,
            Err(error) => {
                tracing::error!(key = pending.key, %error, "a message cannot be attempted");
                return Left::All;
            }
        },
    };
    match conclude(engine, pending, &attempted.outcome).await {
        Ok(()) if matches!(attempted.outcome, Outcome::Retry { .. }) => {
            Left::Attempt(attempted.wait)
        }
        Ok(()) => Left::Nothing,
        Err(error) => {
            tracing::error!(key = pending.key, %error, "how a message came out is not written");
            Left::Write(attempted)
        }
    }
}

/// One attempt, unless the log says that it has come to its end before.
async fn attempt(
    engine: &Engine,
    client: &Client,
    clock: Clock,
    pending: &Pending,
) -> Result<Attempted, EngineError> {
    let Some(address) = engine.address(pending).await? else {
        return Err(EngineError::Unknown(pending.rollout.clone()));
    };
    let ends = |outcome| Ok(Attempted { outcome, wait: Millis::ZERO });
    let dead = |reason: &str| ends(Outcome::Dead { reason: reason.to_owned() });
    if address.settled {
        return ends(Outcome::Done);
    }
    let Ok(message) = serde_json::from_str::<Delivery>(&pending.body) else {
        return dead("this version of sluice cannot read the message");
    };
    let Some(webhook) = &address.webhook else {
        return dead("the plan names no such receiver");
    };
    let body = body(&address.service, pending, &message);
    Ok(send(client, clock, webhook, pending, &body).await)
}

async fn send(
    client: &Client,
    clock: Clock,
    webhook: &Webhook,
    pending: &Pending,
    body: &str,
) -> Attempted {
    match notifiers::webhook::deliver(client, webhook, &pending.key, clock.now(), body).await {
        Ok(()) => Attempted { outcome: Outcome::Done, wait: Millis::ZERO },
        Err(error) => failed(clock, pending, &error),
    }
}

/// A failure is tried again after a while, unless the receiver does not want it or it has been
/// tried for long enough.
fn failed(clock: Clock, pending: &Pending, error: &DeliveryError) -> Attempted {
    let reason = error.to_string();
    let again = notifiers::backoff(pending.attempts).filter(|_| !error.permanent);
    let Some(wait) = again else {
        return Attempted { outcome: Outcome::Dead { reason }, wait: Millis::ZERO };
    };
    let wait = error.retry_after.map_or(wait, |asked| asked.max(wait));
    Attempted { outcome: Outcome::Retry { next_at: clock.now().plus(wait), reason }, wait }
}

async fn conclude(
    engine: &Engine,
    pending: &Pending,
    outcome: &Outcome,
) -> Result<(), EngineError> {
    let given_up = match outcome {
        Outcome::Retry { reason, .. } => {
            tracing::warn!(key = pending.key, reason, "a message was not delivered");
            return engine.settle(&pending.key, outcome.clone()).await;
        }
        Outcome::Done => None,
        Outcome::Dead { reason } => Some(reason.clone()),
    };
    let settled = Settled { key: pending.key.clone(), given_up };
    engine.settled(RolloutId(pending.rollout.clone()), settled).await?;
    engine.settle(&pending.key, outcome.clone()).await
}

/// What a receiver gets.
fn body(service: &str, pending: &Pending, message: &Delivery) -> String {
    serde_json::json!({
        "type": format!("rollout.{}", message.kind),
        "rollout": pending.rollout,
        "service": service,
        "seq": pending.seq,
        "at": pending.owed_at,
        "level": message.level,
        "text": message.text,
    })
    .to_string()
}
