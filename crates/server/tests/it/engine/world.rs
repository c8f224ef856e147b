//! An engine over a log in memory, which can be made to fail.

use std::path::PathBuf;
use std::time::Duration;

use rollout::machine::{Actor, Command, RolloutId};
use rollout::route::ServiceRoute;
use rollout::units::Millis;
use server::engine::{Clock, Create, Engine, EngineError, EngineSettings, start};
use server::view::RolloutView;
use store::Store;
use store::lease::Lease;
use store::log::Log as _;
use store::memory::{Fault, MemoryLog};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use traffic::ProxySettings;

use crate::shop::{clear_away, command, free_address, plan};
use crate::webhook::receiver::Receiver;

/// How many rollouts a service with a past has had.
pub(crate) const PAST: u64 = 2_000;
/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long the lease is taken for.
pub(crate) const LEASE: Millis = Millis::from_secs(30);

pub(crate) struct World {
    pub(crate) engine: Engine,
    /// Another process at the same database.
    pub(crate) log: MemoryLog,
    pub(crate) service: String,
    pub(crate) listen: String,
    /// What the plan says beside its stages.
    pub(crate) more: String,
    proxy: Option<ProxySettings>,
    folder: TempDir,
    /// The engine's tasks, and none of the test's.
    runtime: Option<Runtime>,
}

impl World {
    /// With a proxy of its own; `faults` meet the first writes.
    pub(crate) async fn start(faults: &[Fault]) -> Self {
        Self::with(faults, Some(ProxySettings { threads: 1, access_log: None })).await
    }

    /// With proxies elsewhere.
    pub(crate) async fn without_proxy() -> Self {
        Self::with(&[], None).await
    }

    async fn with(faults: &[Fault], proxy: Option<ProxySettings>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut log = MemoryLog::new();
        let other = log.connect();
        let lease = log.acquire("this", LEASE, Clock.now()).unwrap();
        for fault in faults {
            log.fail_next(*fault);
        }
        let settings = EngineSettings { state: folder.path().to_owned(), proxy: proxy.clone() };
        let (runtime, engine) = begin(settings, log, lease).await;
        let listen = free_address();
        let service = format!("desk-{}", listen.rsplit_once(':').unwrap().1);
        let (runtime, more) = (Some(runtime), String::new());
        Self { engine, log: other, service, listen, more, proxy, folder, runtime }
    }

    /// The engine dies where it stands; nothing of it runs on.
    pub(crate) async fn crash(&mut self) {
        let runtime = self.runtime.take().unwrap();
        // A thread of its own that writes would go on beside the one that takes its place.
        let ended = spawn_blocking(move || runtime.shutdown_timeout(PATIENCE));
        ended.await.unwrap();
        timeout(PATIENCE, self.engine.ended()).await.expect("it ends");
    }

    /// Another one takes its place, over the same log and in the same folder.
    pub(crate) async fn start_again(&mut self) {
        self.start_failing(0).await;
    }

    /// The same, and so many of its first writes fail.
    pub(crate) async fn start_failing(&mut self, writes: usize) {
        let mut log = self.log.connect();
        let lease = lease(&mut log);
        (0..writes).for_each(|_| log.fail_next(Fault::Unavailable));
        let settings =
            EngineSettings { state: self.folder.path().to_owned(), proxy: self.proxy.clone() };
        let (runtime, engine) = begin(settings, log, lease).await;
        (self.runtime, self.engine) = (Some(runtime), engine);
    }

    /// The folder of the files that say which rollouts go back.
    pub(crate) fn marks(&self) -> PathBuf {
        self.folder.path().join("going-back")
    }

    /// The kinds of what happened to a rollout, but its windows of traffic.
    pub(crate) async fn kinds(&self, id: &RolloutId) -> Vec<String> {
        let events = self.engine.history(id, 0).await.unwrap();
        let kinds = events.into_iter().map(|event| event.kind);
        kinds.filter(|kind| kind != "block_observed").collect()
    }

    /// Asks for a rollout of `version`.
    pub(crate) async fn create(&self, version: &str) -> Result<RolloutId, EngineError> {
        self.create_at(version, &self.listen).await
    }

    /// The same under a plan that listens elsewhere.
    pub(crate) async fn create_at(
        &self,
        version: &str,
        listen: &str,
    ) -> Result<RolloutId, EngineError> {
        self.create_of(&self.service, version, listen).await
    }

    /// The same for another service.
    pub(crate) async fn create_of(
        &self,
        service: &str,
        version: &str,
        listen: &str,
    ) -> Result<RolloutId, EngineError> {
        let create = Create {
            plan_name: "sluice.yaml".to_owned(),
            plan: plan(service, listen, &command()) + &self.more,
            version: version.to_owned(),
            directory: std::env::temp_dir().display().to_string(),
            again: false,
            new_listen: listen != self.listen,
            by: by(),
        };
        self.engine.create(create).await
    }

    /// The first release is out, and the second in its first stage; the second's id.
    pub(crate) async fn canary(&self) -> RolloutId {
        let first = self.create("1.0").await.unwrap();
        self.until(&first, "promoted").await;
        let second = self.create("2.0").await.unwrap();
        self.until(&second, "running").await;
        second
    }

    pub(crate) async fn roll_back(&self, id: &RolloutId) -> Result<(), EngineError> {
        let why = "it smells".to_owned();
        self.engine.command(id, Command::RollBack { why }, by()).await
    }

    pub(crate) async fn promote(&self, id: &RolloutId) -> Result<(), EngineError> {
        self.engine.command(id, Command::Promote { stage: None, why: String::new() }, by()).await
    }

    /// Waits until the rollout's state is as asked for.
    pub(crate) async fn until(&self, id: &RolloutId, state: &str) -> RolloutView {
        self.until_view(id, |view| view.state.name() == state).await
    }

    pub(crate) async fn until_view(
        &self,
        id: &RolloutId,
        wanted: impl Fn(&RolloutView) -> bool,
    ) -> RolloutView {
        let wait = async {
            loop {
                let view = self.engine.view(id).await.unwrap();
                if wanted(&view) {
                    return view;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        if let Ok(view) = timeout(PATIENCE, wait).await {
            return view;
        }
        panic!("it never came to that: {:?}", self.engine.view(id).await)
    }

    /// Lets the plan name these receivers.
    pub(crate) fn tell(&mut self, receivers: &[&Receiver]) {
        let lines = receivers.iter().map(|it| format!("  - {{ webhook: '{}' }}\n", it.url()));
        self.more = format!("notify:\n{}", lines.collect::<String>());
    }

    /// How the proxies are told to serve the service now.
    pub(crate) fn route(&self) -> ServiceRoute {
        let snapshot = self.engine.snapshots().borrow().clone();
        snapshot.services.into_iter().find(|route| route.service == self.service).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        clear_away(&self.service, (1..=4).chain([PAST]));
    }
}

/// The lease, once that of whoever died has run out.
pub(crate) fn lease(log: &mut MemoryLog) -> Lease {
    let until = log.reader().held().unwrap().map_or(Clock.now(), |held| held.until);
    log.acquire("next", LEASE, until.max(Clock.now())).unwrap()
}

/// An engine with a runtime of its own, which can be taken from under it.
async fn begin(settings: EngineSettings, log: MemoryLog, lease: Lease) -> (Runtime, Engine) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let begun = runtime.spawn(start(settings, Store::over(log).unwrap(), lease));
    let engine = begun.await.unwrap().unwrap();
    (runtime, engine)
}

pub(crate) fn by() -> Actor {
    Actor { who: "ada".to_owned(), via: "cli".to_owned() }
}
