//! Messages that are owed: performed after the fact, at least once, never in its way.

use rollout::machine::{Input, Outcome, RolloutId, Settled};
use rollout::plan::Webhook;
use rollout::units::Millis;
use store::{DeliveryOutcome, Store};
use tokio::sync::mpsc;

use super::clock::Clock;
use super::handle::{Ask, Engine};
use crate::notifiers::{self, Client};

/// How many messages are taken at a time.
const BATCH: usize = 32;
/// How long to wait when nothing is due and nothing new is owed.
const IDLE: Millis = Millis::from_secs(5);

/// Delivers what is owed until the engine stops.
pub(super) async fn run(engine: Engine, owed: std::sync::Arc<tokio::sync::Notify>, clock: Clock) {
    let client = match notifiers::client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "messages cannot be delivered");
            return;
        }
    };
    while !engine.asks.is_closed() {
        deliver_due(&engine, &client, clock).await;
        let _ = tokio::time::timeout(IDLE.to_std(), owed.notified()).await;
    }
}

async fn deliver_due(engine: &Engine, client: &Client, clock: Clock) {
    let due = match engine.store.due(clock.now(), BATCH).await {
        Ok(due) => due,
        Err(error) => {
            tracing::error!(%error, "the outbox cannot be read");
            return;
        }
    };
    for pending in due {
        deliver(engine, client, clock, pending).await;
    }
}
