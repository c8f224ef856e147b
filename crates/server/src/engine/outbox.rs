//! Messages that are owed: performed after the fact, at least once, never in its way.
//!
//! A receiver gets one message at a time, in the order they were owed; one that failed waits for
//! its time and lets the others pass. Receivers know nothing of each other: one that is slow
//! delays nobody else's messages.
//!
//! Waits are measured by a clock that is never set back, and belong to this process: at its start
//! everything that is pending is due at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rollout::units::Millis;
use store::outbox::Delivery as Pending;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};

use super::clock::{Clock, Mark};
use super::deliver::{Attempted, Left, perform};
use super::handle::{Engine, EngineError};
use crate::notifiers::{self, Client};

/// How many messages are read from the log at a time.
const PAGE: u32 = 256;
/// How many receivers are spoken to at once.
const AT_ONCE: usize = 16;
/// How long to wait when nothing new is owed, and before what the log refused is tried again.
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
    let mut outbox = Outbox {
        engine,
        client,
        clock,
        known: 0,
        lanes: BTreeMap::new(),
        under_way: JoinSet::new(),
        busy: HashMap::new(),
    };
    while !outbox.engine.asks.is_closed() {
        if let Err(error) = outbox.learn().await {
            tracing::error!(%error, "the outbox cannot be read");
        }
        outbox.begin();
        // Woken early or not, the next round looks at what is due.
        tokio::select! {
            Some(ended) = outbox.under_way.join_next_with_id() => outbox.end(ended),
            () = owed.notified() => {}
            () = tokio::time::sleep(IDLE.to_std()) => {}
        }
    }
}

struct Outbox {
    engine: Engine,
    client: Client,
    clock: Clock,
    /// The number of the last delivery that was read.
    known: u64,
    /// What each receiver is still to get, by its URL and by the deliveries' numbers.
    lanes: BTreeMap<String, BTreeMap<u64, Waiting>>,
    under_way: JoinSet<Left>,
    /// The receiver and the number of each attempt under way.
    busy: HashMap<Id, (String, u64)>,
}

struct Waiting {
    pending: Pending,
    /// How the last attempt came out, while that is not written down.
    attempted: Option<Attempted>,
    /// When the wait for the next attempt began, and how long it is.
    since: Mark,
    wait: Millis,
}

impl Outbox {
    /// Takes in what has become owed since the last time.
    async fn learn(&mut self) -> Result<(), EngineError> {
        loop {
            let page = self.engine.store.pending(self.known, PAGE).await;
            let page = page.map_err(|error| EngineError::Log(error.to_string()))?;
            if page.is_empty() {
                return Ok(());
            }
            for pending in page {
                let address = self.engine.address(&pending).await?;
                let webhook = address.and_then(|address| address.webhook);
                let receiver = webhook.map_or(String::new(), |webhook| webhook.url);
                let (number, since) = (pending.number, self.clock.mark());
                let waiting = Waiting { pending, attempted: None, since, wait: Millis::ZERO };
                self.lanes.entry(receiver).or_default().insert(number, waiting);
                self.known = number;
            }
        }
    }

    /// Begins attempts with receivers that nobody speaks to, the longest owed first.
    fn begin(&mut self) {
        let free = |receiver: &String| self.busy.values().all(|(busy, _)| busy != receiver);
        let lanes = self.lanes.iter().filter(|(receiver, _)| free(receiver));
        let due = |lane: &BTreeMap<u64, Waiting>| {
            lane.iter().find(|(_, it)| it.since.elapsed() >= it.wait).map(|(number, _)| *number)
        };
        let ready = lanes.filter_map(|(receiver, lane)| Some((due(lane)?, receiver.clone())));
        let mut ready: Vec<(u64, String)> = ready.collect();
        ready.sort_unstable();
        ready.truncate(AT_ONCE.saturating_sub(self.busy.len()));
        for (number, receiver) in ready {
            let Some(waiting) = self.lanes.get(&receiver).and_then(|lane| lane.get(&number)) else {
                continue;
            };
            let (engine, client, clock) = (self.engine.clone(), self.client.clone(), self.clock);
            let (pending, attempted) = (waiting.pending.clone(), waiting.attempted.clone());
            let attempt =
                async move { perform(&engine, &client, clock, &pending, attempted).await };
            let task = self.under_way.spawn(attempt);
            self.busy.insert(task.id(), (receiver, number));
        }
    }

    /// An attempt has ended.
    fn end(&mut self, ended: Result<(Id, Left), JoinError>) {
        let (id, left) = ended.unwrap_or_else(|error| {
            tracing::error!(%error, "an attempt at a message broke off");
            (error.id(), Left::All)
        });
        let Some((receiver, number)) = self.busy.remove(&id) else { return };
        let Some(lane) = self.lanes.get_mut(&receiver) else { return };
        let Some(waiting) = lane.get_mut(&number) else { return };
        waiting.since = self.clock.mark();
        match left {
            Left::Nothing => {
                lane.remove(&number);
            }
            Left::Attempt(wait) => {
                waiting.pending.attempts = waiting.pending.attempts.saturating_add(1);
                (waiting.attempted, waiting.wait) = (None, wait);
            }
            Left::Write(attempted) => (waiting.attempted, waiting.wait) = (Some(attempted), IDLE),
            Left::All => waiting.wait = IDLE,
        }
        self.lanes.retain(|_, lane| !lane.is_empty());
    }
}
