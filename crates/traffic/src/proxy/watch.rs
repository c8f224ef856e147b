//! The watch thread: runs the health checks and, every few milliseconds, the guard.

use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rollout::units::Weight;
use tokio::runtime::Runtime;
use tokio::time::{MissedTickBehavior, interval};

use super::Shared;
use super::guard::{TICK, TripReport};
use super::route::Canary;
use super::tls::Tls;

/// How often the files of certificates are read.
const CERTIFICATES: Duration = Duration::from_secs(2);

/// The runtime of the watch thread.
pub(crate) fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

/// Starts the thread. It ends when the proxy is gone.
pub(crate) fn start(runtime: Runtime, shared: Weak<Shared>) -> io::Result<()> {
    let run = move || {
        runtime.block_on(async move {
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut read = Instant::now();
            loop {
                ticks.tick().await;
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                look(&shared);
                if read.elapsed() >= CERTIFICATES {
                    read = Instant::now();
                    look_at_certificates(&shared);
                }
            }
        });
    };
    std::thread::Builder::new().name("proxy-watch".to_owned()).spawn(run).map(drop)
}

/// Reads the certificates of every door that has one, where a slow disk keeps nobody waiting.
fn look_at_certificates(shared: &Shared) {
    let serving = shared.serving.load();
    let doors = serving.slots.values().filter_map(|slot| slot.state.load().tls.clone());
    let doors: Vec<Arc<Tls>> = doors.collect();
    if !doors.is_empty() {
        tokio::task::spawn_blocking(move || doors.iter().for_each(|tls| tls.look()));
    }
}

/// One look at every canary that has a share.
fn look(shared: &Shared) {
    let serving = shared.serving.load();
    for slot in serving.slots.values() {
        let state = slot.state.load();
        let open = |canary: &&Canary| canary.weight > Weight::ZERO && !canary.guard.is_shut();
        let Some(canary) = state.canary.as_ref().filter(open) else {
            continue;
        };
        let Some(fired) = canary.guard.look(Instant::now()) else {
            continue;
        };
        if canary.guard.shut() {
            tracing::warn!(service = %slot.name, gate = %fired.gate, "canary shut out");
            let _ = shared.reports.send(TripReport {
                service: slot.name.to_string(),
                release: canary.track.release.to_string(),
                guard_key: canary.guard.key().to_owned(),
                gate: fired.gate,
                generation: serving.generation,
                numbers: fired.numbers,
                ln_threshold: fired.ln_threshold,
                third_failure_to_shut_us: fired.third_failure_to_shut_us,
            });
        }
    }
}
