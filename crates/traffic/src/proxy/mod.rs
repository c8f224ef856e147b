//! The embedded proxy. See the crate's root for what one request meets.

mod access;
mod apart;
mod balance;
mod behind;
mod body;
mod books;
mod by_host;
mod claims;
#[cfg(any(test, fuzzing))]
pub mod compare;
mod connect;
mod connection;
mod control;
mod cookies;
mod count;
mod decide;
#[cfg(test)]
mod differential;
mod door;
mod drain;
mod exchange;
mod fields;
mod forward;
mod grpc;
mod guard;
mod handover;
mod head;
mod health;
mod lean;
mod listen;
mod mirror;
mod observe;
mod origin;
mod piece;
mod pool;
mod probe;
mod proxied;
mod reply;
mod route;
mod sender;
mod settings;
mod shield;
mod spelling;
mod split;
mod sticky;
mod stream;
mod streams;
mod target;
mod tls;
mod total;
mod upgrade;
mod upload;
mod upstream;
mod visit;
mod watch;
mod wire;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rollout::route::{Generation, Snapshot};
use tokio::sync::{broadcast, mpsc, oneshot};

use access::Log;
use books::Books;
use control::{Control, Serving};

pub use control::{Applied, Refused, Stopping};
pub use cookies::SESSION_COOKIE;
pub use count::{Causes, Counters, ReleaseCounters, ServiceCounters};
pub use guard::TripReport;
pub use handover::{Inheritance, Listening};
pub use observe::{Observed, ObservedService, ObservedUpstream, Withheld};
pub use probe::probe;
pub use settings::{AccessLog, ProxySettings};
pub use upstream::Health;

/// Trip reports a slow receiver may fall behind.
const REPORTS: usize = 64;
/// How often a stopping proxy looks whether it is done.
const STOP_LOOK: Duration = Duration::from_millis(5);

/// How long after the drains the threads go on, so that what is cut then is counted as that.
const STOP_CUT: Duration = Duration::from_millis(500);

/// A running proxy. Clones are the same proxy; it ends when the last one is gone, at once,
/// or with [`Proxy::stop`], gracefully. Callable from any thread and any runtime.
#[derive(Clone, Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
}

/// What clones and the watch thread share.
#[derive(Debug)]
pub(crate) struct Shared {
    instance: u64,
    control: Mutex<Control>,
    serving: Arc<ArcSwap<Serving>>,
    books: Books,
    reports: broadcast::Sender<TripReport>,
    /// Canaries' shares are withheld, since nobody could take them back.
    lost: Arc<AtomicBool>,
    log: Option<Log>,
}

impl Proxy {
    /// Starts the threads; nothing is served before the first snapshot.
    ///
    /// # Errors
    /// When a thread cannot be started or the access log cannot be opened.
    pub fn start(settings: ProxySettings) -> io::Result<Self> {
        Self::start_with(settings, Inheritance::default())
    }

    /// As [`Proxy::start`], in the place of another process. Its sockets are listened on where the
    /// first snapshot asks for their address; the rest are closed then.
    ///
    /// # Errors
    /// As there.
    #[expect(clippy::needless_pass_by_value, reason = "settings are handed over")]
    pub fn start_with(settings: ProxySettings, inherited: Inheritance) -> io::Result<Self> {
        let log = settings.access_log.as_ref().map(Log::open).transpose()?;
        let workers = (0..settings.workers())
            .map(|index| {
                let (orders, taken) = mpsc::unbounded_channel();
                listen::start(index, log.clone(), taken).map(|()| orders)
            })
            .collect::<io::Result<Vec<_>>>()?;
        let runtime = watch::runtime()?;
        let serving = Arc::new(ArcSwap::from_pointee(Serving::default()));
        let lost = Arc::new(AtomicBool::new(false));
        let handle = runtime.handle().clone();
        let control =
            Control::new(workers, handle, Arc::clone(&serving), Arc::clone(&lost), inherited.0);
        let shared = Arc::new(Shared {
            instance: RandomState::new().hash_one(std::process::id()),
            control: Mutex::new(control),
            serving,
            books: Books::default(),
            reports: broadcast::Sender::new(REPORTS),
            lost,
            log,
        });
        watch::start(runtime, Arc::downgrade(&shared))?;
        Ok(Self { shared })
    }

    /// Takes a snapshot: opens and closes listeners, and from then on splits every new
    /// request by it. One that is not newer than what serves is ignored, unless some service
    /// could not be served as it asks: then that is tried again. May look up host names, so
    /// it may block for as long as that takes.
    ///
    /// # Errors
    /// When the proxy is stopping.
    #[expect(clippy::needless_pass_by_value, reason = "a snapshot is handed over")]
    pub fn apply(&self, snapshot: Snapshot) -> Result<Applied, Stopping> {
        self.shared.control().apply(&snapshot, &self.shared.books)
    }

    /// The snapshot in force; the default before the first.
    pub fn generation(&self) -> Generation {
        self.shared.serving.load().generation
    }

    /// What was counted since the proxy started, summed over its threads.
    pub fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// What serves now.
    pub fn observed(&self) -> Observed {
        self.shared.observed()
    }

    /// Canaries shut out by the guard from now on. A receiver that falls more than 64
    /// reports behind misses the oldest.
    pub fn trips(&self) -> broadcast::Receiver<TripReport> {
        self.shared.reports.subscribe()
    }

    /// Shuts a service's canary out at once, as the guard would: its weight is zero until a
    /// snapshot with another guard key, or of weight zero, arrives. False when the service
    /// has no canary or it was shut out already.
    pub fn shut(&self, service: &str) -> bool {
        let serving = self.shared.serving.load();
        let state = serving.slots.get(service).map(|slot| slot.state.load_full());
        state
            .and_then(|state| state.canary.as_ref().map(|canary| canary.guard.shut()))
            .unwrap_or(false)
    }

    /// Says whether the controller is lost: while it is, every canary's share goes to stable where
    /// that serves well, since nobody is there who could take a bad canary back.
    pub fn lose_controller(&self, lost: bool) {
        self.shared.lost.store(lost, Ordering::Relaxed);
    }

    /// Stops gracefully: accepts no more, lets what is in flight finish within each
    /// service's drain, then ends the threads. Snapshots are refused from now on.
    pub async fn stop(&self) {
        let longest = self.shared.control().stop();
        self.shared.end_within(longest).await;
    }
}

impl Shared {
    /// Ends the threads once nothing is open or under way any more, after `longest` at the latest.
    async fn end_within(self: &Arc<Self>, longest: Duration) {
        let (done, stopped) = oneshot::channel();
        let (handle, shared) = (self.control().watch(), Arc::clone(self));
        handle.spawn(async move {
            let drained = async {
                while shared.is_busy() {
                    tokio::time::sleep(STOP_LOOK).await;
                }
            };
            let _ = tokio::time::timeout(longest.saturating_add(STOP_CUT), drained).await;
            shared.control().end();
            let _ = done.send(());
        });
        let _ = stopped.await;
    }

    fn is_busy(&self) -> bool {
        let serving = self.serving.load();
        self.in_flight() > 0 || serving.doors.values().any(|door| door.open() > 0)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> u64 {
        let books = self.books.all();
        books.values().flatten().map(|(_, ledger)| ledger.in_flight()).fold(0, u64::saturating_add)
    }

    fn counters(&self) -> Counters {
        let serving = self.serving.load();
        let mut books = self.books.all();
        for service in serving.slots.keys() {
            books.entry(service.clone()).or_default();
        }
        let services = books.into_iter().map(|(service, releases)| {
            let slot = serving.slots.get(&service);
            let limits = slot.map(|slot| slot.state.load().limits_us.clone()).unwrap_or_default();
            let releases =
                releases.into_iter().map(|(release, ledger)| (release, ledger.read(&limits)));
            let counters = ServiceCounters {
                releases: releases.collect(),
                unserved: slot.map_or(0, |slot| slot.unserved.load(Ordering::Relaxed)),
                latency_limits_us: limits,
            };
            (service, counters)
        });
        let log_lines_dropped = self.log.as_ref().map_or(0, Log::dropped);
        let unrouted = serving
            .doors
            .iter()
            .map(|(address, door)| (address.clone(), door.unrouted.load(Ordering::Relaxed)));
        Counters {
            instance: self.instance,
            services: services.collect(),
            unrouted: unrouted.filter(|(_, count)| *count > 0).collect(),
            log_lines_dropped,
        }
    }

    fn observed(&self) -> Observed {
        let serving = self.serving.load();
        let mut services: BTreeMap<String, ObservedService> = serving
            .slots
            .iter()
            .map(|(name, slot)| (name.clone(), ObservedService::of(&slot.state.load())))
            .collect();
        for door in serving.doors.values() {
            for slot in &door.behind.load().slots {
                if let Some(service) = services.get_mut(&*slot.name) {
                    service.listening = Some(door.bound);
                }
            }
        }
        for (service, releases) in self.books.all() {
            for (release, ledger) in releases {
                let in_flight = ledger.in_flight();
                if in_flight > 0 {
                    services
                        .entry(service.clone())
                        .or_default()
                        .in_flight
                        .insert(release, in_flight);
                }
            }
        }
        Observed {
            instance: self.instance,
            generation: serving.generation,
            services,
            refused: serving.refused.clone(),
        }
    }
}
