//! Runs versions as processes of this machine.
//!
//! The life of one release:
//! 1. `spec` resolves the plan's command, and `port` chooses a free loopback port.
//! 2. `spawn` writes an intent durably (`record`), starts the process with a token only it
//!    has, and writes down which process it became.
//! 3. `ready` asks its health check; `supervise` starts it again when it ends by itself.
//! 4. `stop` asks it to end, waits for the drain, and kills what is left.
//!
//! Where a plan asks for several processes of a version they are started together, and each is
//! kept by itself, under a name of its own (`super::replicas`): a process that ends is no business
//! of its siblings.
//!
//! The processes outlive the controller: they lead their own process group and print to files
//! (`output`), not pipes. `adopt` finds them again, so that a controller that was killed at
//! any instant never starts a second copy. What makes that certain:
//! - No process is started without its durable intent, and no record is removed while a process
//!   of it is left.
//! - A recorded process is known by its id, its start time and the machine's boot together.
//! - A start that was cut short is settled by looking for its token among the running processes.
//! - One controller at a time: `open` holds a lock on the folder. A child inherits the lock until
//!   the instant it becomes its program, so whoever gets the lock also sees every token.

mod adopt;
mod child;
mod ended;
mod output;
mod port;
mod procfs;
mod ready;
mod record;
mod spawn;
mod spec;
mod stop;
mod supervise;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rollout::plan::Deploy;
use rollout::units::Timestamp;
use tokio::sync::{Mutex, watch};

use self::port::Ports;
use self::record::Record;
pub use self::spec::SpecError;
use self::supervise::Supervisor;
use super::replicas::unit;
use super::{State, Wanted};

/// How long [`ProcessDeployer::open`] waits for a controller that is just dying.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How often the lock is tried meanwhile.
const LOCK_PACE: Duration = Duration::from_millis(20);

/// What tells the time of day; the controller has one.
type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// Starts, supervises and stops the processes of releases. A cheap handle: clones share one set.
#[derive(Clone)]
pub struct ProcessDeployer {
    host: Arc<Host>,
}

/// What the handle and the supervisors share.
struct Host {
    dir: PathBuf,
    clock: Clock,
    ports: Ports,
    states: watch::Sender<BTreeMap<String, State>>,
    releases: Mutex<Releases>,
    /// Held, never read: the lock ends with the deployer.
    _lock: File,
}

/// Which processes of releases have a supervisor, and which still wait for one.
#[derive(Default)]
struct Releases {
    /// Records of earlier controllers that no supervisor has taken up yet.
    found: BTreeMap<String, Record>,
    /// What each supervisor should run; `None` asks it to stop.
    goals: BTreeMap<String, watch::Sender<Option<Wanted>>>,
}

impl ProcessDeployer {
    /// Takes over `state_dir` (made when missing) and finds the processes that an earlier
    /// controller left running; [`Self::states`] shows them at once. Nothing is started or
    /// stopped before [`Self::want`]. `clock` tells the time of day.
    ///
    /// # Errors
    /// When another controller holds the folder, when it cannot be read or written, or when a
    /// record in it cannot be understood; starting on a guess could make a second copy.
    pub fn open(
        state_dir: PathBuf,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let dir = std::path::absolute(state_dir)?;
        std::fs::create_dir_all(&dir)?;
        let lock = lock(&dir)?;
        let found = adopt::find_all(&dir)?;
        let ports = Ports::default();
        for record in found.values() {
            ports.reserve(record.port);
        }
        let now = clock();
        let states = found
            .values()
            .filter(|record| record.process.as_ref().is_some_and(child::is_alive))
            .map(|record| (record.release.clone(), record.observed(now)))
            .collect();
        let releases = Releases { found, goals: BTreeMap::new() };
        let host = Host {
            dir,
            clock: Box::new(clock),
            ports,
            states: watch::Sender::new(states),
            releases: Mutex::new(releases),
            _lock: lock,
        };
        Ok(Self { host: Arc::new(host) })
    }

    /// Makes `wanted` the whole set of releases that should run: starts what is missing, drains
    /// and stops everything else. Returns as soon as the supervisors know; may be called over
    /// and over, and must be called inside a tokio runtime.
    pub async fn want(&self, wanted: Vec<Wanted>) {
        let mut releases = self.host.releases.lock().await;
        let mut goals: BTreeMap<String, Option<Wanted>> = releases
            .goals
            .keys()
            .chain(releases.found.keys())
            .map(|name| (name.clone(), None))
            .collect();
        for one in wanted {
            for nth in 1..=one.deploy.replicas {
                goals.insert(unit(&one.release, nth), Some(one.clone()));
            }
        }
        self.forget_stopped(&goals);
        for (release, goal) in goals {
            if let Some(sender) = releases.goals.get(&release) {
                sender.send_if_modified(|held| {
                    let changed = *held != goal;
                    *held = goal;
                    changed
                });
                continue;
            }
            let found = releases.found.remove(&release);
            self.host.take_up(&release, goal.is_some());
            let sender = watch::Sender::new(goal);
            let supervisor =
                Supervisor::new(self.host.clone(), release.clone(), sender.subscribe());
            releases.goals.insert(release, sender);
            tokio::spawn(supervisor.run(found));
        }
    }

    /// What is observed of each process, by what it goes by: see [`super::replicas`]. A release
    /// that is not in it has none; `Stopped` is shown until the next [`Self::want`].
    pub fn states(&self) -> BTreeMap<String, State> {
        self.host.states.borrow().clone()
    }

    /// [`Self::states`] as it changes.
    pub fn watch(&self) -> watch::Receiver<BTreeMap<String, State>> {
        self.host.states.subscribe()
    }

    /// Drains and stops every process, and returns when the last is gone.
    pub async fn stop_all(&self) {
        self.want(Vec::new()).await;
        let mut states = self.watch();
        let gone = |states: &BTreeMap<_, _>| states.values().all(|state| *state == State::Stopped);
        // It cannot fail: the deployer itself holds the sender.
        let _states = states.wait_for(gone).await;
    }

    /// The identity of what `deploy` would run: SHA-256 over the program file's bytes, the
    /// arguments and the variables, with `{version}` filled in; `sha256:` and 64 hex digits.
    /// `directory` is the plan file's folder.
    ///
    /// # Errors
    /// When there is no such program, or it cannot be run or read; says where it was looked for.
    pub fn digest(deploy: &Deploy, version: &str, directory: &Path) -> Result<String, SpecError> {
        spec::Spec::resolve(deploy, version, directory, None)?.digest()
    }

    /// Drops what has stopped and is not asked for again.
    fn forget_stopped(&self, goals: &BTreeMap<String, Option<Wanted>>) {
        self.host.states.send_if_modified(|states| {
            let before = states.len();
            states.retain(|release, state| {
                *state != State::Stopped || goals.get(release).is_some_and(Option::is_some)
            });
            states.len() != before
        });
    }
}

impl Host {
    /// The folder of one release's record and output.
    fn folder(&self, release: &str) -> PathBuf {
        self.dir.join(release)
    }

    /// Shows `state` to whoever watches.
    fn publish(&self, release: &str, state: State) {
        self.states.send_if_modified(|states| match states.get_mut(release) {
            Some(shown) if *shown == state => false,
            Some(shown) => {
                *shown = state;
                true
            }
            None => states.insert(release.to_owned(), state).is_none(),
        });
    }

    /// Shows that a release has a supervisor from now on; what is known of a process that an
    /// earlier controller started stays.
    fn take_up(&self, release: &str, wanted: bool) {
        let known = self.states.borrow().get(release).is_some_and(|state| *state != State::Stopped);
        if !known {
            let since = (self.clock)();
            self.publish(release, if wanted { State::Starting { since } } else { State::Stopping });
        }
    }

    /// Ends a release's supervision unless it is wanted again; says whether it ended.
    async fn retire(&self, release: &str) -> bool {
        let mut releases = self.releases.lock().await;
        if releases.goals.get(release).is_some_and(|goal| goal.borrow().is_some()) {
            return false;
        }
        releases.goals.remove(release);
        self.publish(release, State::Stopped);
        true
    }
}

impl fmt::Debug for ProcessDeployer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessDeployer").field("dir", &self.host.dir).finish_non_exhaustive()
    }
}

/// Takes the folder's lock, waiting a little for a controller that is just dying.
fn lock(dir: &Path) -> io::Result<File> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path)?;
    let mut left = LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if left.is_zero() => {
                let text = format!("another controller holds {}", path.display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
            }
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(LOCK_PACE);
                left = left.saturating_sub(LOCK_PACE);
            }
        }
    }
}
