//! The loop itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use rollout::machine::{Input, RolloutId, TripFacts};
use rollout::route::Snapshot;
use rollout::units::Millis;
use store::Store;
use store::lease::{Lease, LeaseError};
use store::outbox::{Delivery as Pending, Outcome, SettleError};
use tokio::sync::{Notify, broadcast, mpsc, watch};
use tokio::time::MissedTickBehavior;
use traffic::{Proxy, TripReport};

use super::clock::Clock;
use super::core::{Core, EngineSettings};
use super::handle::{Address, Ask, Engine, EngineError};
use super::proxies::{Proxies, ProxySync};
use super::rates::Rates;
use super::testers::Digests;
use super::{outbox, recover};
use crate::deployers::process::ProcessDeployer;

/// How often the loop looks at the world when nobody asks for anything: often enough that a
/// window of traffic ends when it should.
const STEP: Millis = Millis(100);
/// How long the lease is taken for.
pub(super) const LEASE_TTL: Millis = Millis::from_secs(30);
/// How often it is renewed.
const LEASE_RENEWAL: Millis = Millis::from_secs(10);
/// How many asks may wait.
const QUEUE: usize = 256;

/// Recovers every rollout from the log and starts the loop that goes on with them.
///
/// # Errors
/// The log cannot be read or is not sound, or the proxy's threads cannot be started.
pub async fn start(
    settings: EngineSettings,
    store: Store,
    lease: Lease,
) -> Result<Engine, EngineError> {
    let (recovered, trail) = recover::recover(&store).await?;
    let frozen = recover::damage(&store, &trail).await?;
    let (markers, going_back) = recover::going_back(&settings.state, &recovered)?;
    let clock = Clock;
    let proxy = embedded(&settings)?;
    let trips = proxy.as_ref().map(Proxy::trips);
    let deployer = ProcessDeployer::open(settings.state.join("processes"), move || clock.now())
        .map_err(|error| {
            EngineError::Invalid(format!("the processes' records cannot be opened: {error}"))
        })?;
    let (asks, inbox) = mpsc::channel(QUEUE);
    let (changes, _) = broadcast::channel(QUEUE);
    let (snapshots, watched) = watch::channel(Snapshot::default());
    let owed = Arc::new(Notify::new());
    let engine = Engine {
        asks,
        changes: changes.clone(),
        store: store.clone(),
        snapshots: watched,
        replays: Arc::default(),
    };
    let core = Core {
        store,
        lease,
        clock,
        rollouts: recovered.rollouts,
        last_moves: recovered.last_moves,
        over: BTreeMap::new(),
        board: recovered.board,
        proxies: Proxies::new(proxy, clock),
        deployer,
        going_back,
        markers,
        overtaken: false,
        started: clock.mark(),
        windows: BTreeMap::new(),
        leaving: BTreeMap::new(),
        rates: Rates::default(),
        digests: Digests::default(),
        snapshot: Snapshot::default(),
        unserved: None,
        snapshots,
        changes,
        notices: frozen
            .iter()
            .map(|why| ("frozen".to_owned(), why.clone()))
            .chain(recovered.unreadable.iter().map(aside))
            .collect(),
        frozen,
        owed: owed.clone(),
    };
    tokio::spawn(run(core, inbox, trips));
    tokio::spawn(outbox::run(engine.clone(), owed, clock));
    Ok(engine)
}

/// What an operator should know of a rollout that could not be replayed.
fn aside((id, why): (&RolloutId, &String)) -> (String, String) {
    let text = format!("{id} is set aside and its service stays with what is stable: {why}");
    (format!("aside/{id}"), text)
}

fn embedded(settings: &EngineSettings) -> Result<Option<Proxy>, EngineError> {
    let started = settings.proxy.clone().map(Proxy::start).transpose();
    started.map_err(|error| EngineError::Invalid(format!("the proxy cannot be started: {error}")))
}

async fn run(
    mut core: Core,
    mut inbox: mpsc::Receiver<Ask>,
    mut trips: Option<broadcast::Receiver<TripReport>>,
) {
    let mut ticks = tokio::time::interval(STEP.to_std());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        // Trips first: going back comes before everything else that has happened.
        tokio::select! {
            biased;
            trip = next_trip(&mut trips) => core.tripped(&trip).await,
            ask = inbox.recv() => match ask {
                None => return,
                Some(Ask::Stop(done)) => {
                    core.stop().await;
                    let _ = done.send(());
                    return;
                }
                Some(ask) => core.answer(ask).await,
            },
            _ = ticks.tick() => core.step().await,
        }
        core.reconcile().await;
        if core.overtaken {
            // What runs goes on running: whoever drives now finds it.
            tracing::error!("another controller holds the lease; this one stops");
            return;
        }
    }
}

/// The next trip of the embedded proxy; never, when there is none.
async fn next_trip(trips: &mut Option<broadcast::Receiver<TripReport>>) -> TripReport {
    loop {
        let Some(receiver) = trips else { return std::future::pending().await };
        match receiver.recv().await {
            Ok(trip) => return trip,
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => *trips = None,
        }
    }
}

impl Core {
    /// What a look at the world brings.
    async fn step(&mut self) {
        self.proxies.forget_gone();
        self.note_refused();
        let now = self.clock.mark();
        let proxies = &self.proxies;
        self.rates.sample(now, || proxies.tally());
        self.keep_lease().await;
        self.retry_going_back().await;
        self.gather().await;
        self.outcomes().await;
    }

    /// Renews the lease well before it runs out. One that is lost stays lost: whoever holds it
    /// now drives, every append of ours is refused, and the loop ends.
    async fn keep_lease(&mut self) {
        let now = self.clock.now();
        if self.lease.until().since(now) > LEASE_TTL.minus(LEASE_RENEWAL) {
            return;
        }
        match self.store.renew(&self.lease, LEASE_TTL, now).await {
            Ok(lease) => {
                self.lease = lease;
                self.notices.remove("lease");
            }
            Err(LeaseError::Lost(_)) => self.overtaken = true,
            Err(error) => self.notice("lease", format!("the lease cannot be renewed: {error}")),
        }
    }

    /// The guard has shut a gate; the rollout it belongs to goes back.
    async fn tripped(&mut self, trip: &TripReport) {
        let Some(id) = self.board.service(&trip.service).and_then(|facts| facts.active.clone())
        else {
            return;
        };
        self.feed_logged(&id, Input::Tripped(facts(trip))).await;
    }

    async fn answer(&mut self, ask: Ask) {
        // An asker who has gone away is no error, so the answers' results are dropped.
        match ask {
            Ask::Create(create, done) => {
                let created = self.create(*create).await;
                self.give_turns().await;
                let _ = done.send(created);
            }
            Ask::Command(id, command, by, done) => {
                let outcome = self.feed(&id, Input::Command(command, by)).await;
                self.reconcile().await;
                // Whoever asked hears what comes next as well.
                self.give_turns().await;
                let _ = done.send(outcome.map(|_| ()));
            }
            Ask::Settled(id, settled, done) => {
                let input = Input::Outcome(rollout::machine::Outcome::Delivered(settled));
                let _ = done.send(self.feed(&id, input).await.map(|_| ()));
            }
            Ask::Mark(key, outcome, done) => {
                let _ = done.send(self.mark_attempt(&key, outcome).await);
            }
            Ask::Alive(done) => {
                let _ = done.send(());
            }
            Ask::Address(pending, done) => {
                let _ = done.send(self.address(&pending));
            }
            Ask::View(id, done) => {
                let _ = done.send(self.rollouts.get(&id).map(|rollout| self.show(rollout)));
            }
            Ask::Views(done) => {
                let _ = done.send(self.list());
            }
            Ask::Rollout(id, done) => {
                let _ = done.send(self.rollouts.get(&id).cloned());
            }
            Ask::Sync(report, done) => {
                for trip in &report.trips {
                    self.tripped(trip).await;
                }
                self.proxies.report(*report);
                let _ = done.send(ProxySync { snapshot: self.snapshot.clone() });
            }
            Ask::Stop(_) => {}
        }
    }

    /// How an attempt came out goes into the outbox. What stands there already, because an answer
    /// was lost, need not be written again.
    async fn mark_attempt(&self, key: &str, outcome: Outcome) -> Result<(), EngineError> {
        match self.store.settle(&self.lease, key, outcome, self.clock.now()).await {
            Ok(()) | Err(SettleError::Settled { .. }) => Ok(()),
            Err(error) => Err(EngineError::Log(error.to_string())),
        }
    }

    fn address(&self, pending: &Pending) -> Option<Address> {
        let rollout = self.rollouts.get(&RolloutId(pending.rollout.clone()))?;
        let receiver = pending.receiver.parse::<usize>().ok();
        Some(Address {
            service: rollout.plan.service.clone(),
            webhook: receiver.and_then(|index| rollout.plan.notify.get(index)).cloned(),
            settled: rollout.settled.contains(&pending.key),
        })
    }

    /// Without its proxy nothing serves, so the versions stop too; the log knows them, and
    /// the next start brings them up again. Proxies of their own go on serving, and so do the
    /// versions behind them.
    async fn stop(&mut self) {
        if self.proxies.stop_embedded().await {
            self.deployer.stop_all().await;
        }
        if let Err(error) = self.store.release(self.lease.clone()).await {
            tracing::warn!(%error, "the lease was not given back");
        }
    }
}

fn facts(trip: &TripReport) -> TripFacts {
    TripFacts {
        release: trip.release.clone(),
        gate: trip.gate.clone(),
        requests: trip.numbers.canary.total,
        bad: trip.numbers.canary.bad,
        evidence: trip.numbers.absolute,
        evidence_needed: trip.ln_threshold,
        shut_after_us: trip.third_failure_to_shut_us,
    }
}
