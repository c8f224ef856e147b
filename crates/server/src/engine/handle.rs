//! How the rest of the process speaks with the engine.

use std::sync::Arc;

use rollout::machine::{Actor, Command, Refusal, Rollout, RolloutId, Settled};
use rollout::plan::{Finding, Webhook};
use rollout::route::Snapshot;
use store::outbox::{Delivery as Pending, Outcome};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::history::Replays;
use super::proxies::{ProxyReport, ProxySync};
use crate::view::{EventView, RolloutView};

/// What somebody wants released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The plan file's name, for messages.
    pub plan_name: String,
    /// The plan as written.
    pub plan: String,
    /// The version's name; fills `{version}`.
    pub version: String,
    /// The folder relative paths start from.
    pub directory: String,
    /// Try it although it was rolled back before.
    pub again: bool,
    /// Take the service's traffic on the plan's address once the release is stable, though it is
    /// taken on another one today, which closes then.
    pub new_listen: bool,
    /// Who asks.
    pub by: Actor,
}

/// Why the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The plan has errors; nothing was started.
    #[error("the plan has errors")]
    Plan(Vec<Finding>),
    /// Understood, and not allowed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such rollout.
    #[error("there is no rollout {0:?}")]
    Unknown(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// It could not be written down, so it was not done.
    #[error("the log cannot be written: {0}")]
    Log(String),
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

/// A message to the engine's loop.
pub(super) enum Ask {
    Create(Box<Create>, oneshot::Sender<Result<RolloutId, EngineError>>),
    Command(RolloutId, Command, Actor, oneshot::Sender<Result<(), EngineError>>),
    Settled(RolloutId, Settled, oneshot::Sender<Result<(), EngineError>>),
    Mark(String, Outcome, oneshot::Sender<Result<(), EngineError>>),
    View(RolloutId, oneshot::Sender<Option<RolloutView>>),
    Views(oneshot::Sender<Vec<Arc<RolloutView>>>),
    Alive(oneshot::Sender<()>),
    Address(Box<Pending>, oneshot::Sender<Option<Address>>),
    Rollout(RolloutId, oneshot::Sender<Option<Rollout>>),
    Sync(Box<ProxyReport>, oneshot::Sender<ProxySync>),
    Stop(oneshot::Sender<()>),
}

/// Where a message goes.
pub(super) struct Address {
    /// The service it is about.
    pub(super) service: String,
    /// The receiver, if the plan names it.
    pub(super) webhook: Option<Webhook>,
    /// The end of the delivery is on record.
    pub(super) settled: bool,
}

/// Speaks with the engine. Cheap to clone; every method answers [`EngineError::Stopped`] once
/// the engine is gone.
#[derive(Clone)]
pub struct Engine {
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) changes: broadcast::Sender<RolloutId>,
    pub(super) snapshots: watch::Receiver<Snapshot>,
    pub(super) store: store::Store,
    pub(super) replays: Arc<Replays>,
}

impl Engine {
    /// Creates a rollout, which begins at once unless another of the service is under way.
    ///
    /// # Errors
    /// See [`EngineError`]; nothing is started then.
    pub async fn create(&self, create: Create) -> Result<RolloutId, EngineError> {
        self.ask(|done| Ask::Create(Box::new(create), done)).await?
    }

    /// Asks something of a rollout. When this answers, the event is durable and the embedded
    /// proxy obeys it.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn command(
        &self,
        id: &RolloutId,
        command: Command,
        by: Actor,
    ) -> Result<(), EngineError> {
        self.ask(|done| Ask::Command(id.clone(), command, by, done)).await?
    }

    /// One rollout as people see it.
    ///
    /// # Errors
    /// There is none of that id, or the engine has stopped.
    pub async fn view(&self, id: &RolloutId) -> Result<RolloutView, EngineError> {
        let view = self.ask(|done| Ask::View(id.clone(), done)).await?;
        view.ok_or_else(|| EngineError::Unknown(id.to_string()))
    }

    /// Every rollout, the newest first. Those that are over come without tracks and notices:
    /// what is observed now is no part of them.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn views(&self) -> Result<Vec<RolloutView>, EngineError> {
        let mut views = self.ask(Ask::Views).await?;
        views.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(views.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    /// Answers when the loop does.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn alive(&self) -> Result<(), EngineError> {
        self.ask(Ask::Alive).await
    }

    /// One rollout as the machine holds it; what reports are made from.
    ///
    /// # Errors
    /// There is none of that id, or the engine has stopped.
    pub async fn rollout(&self, id: &RolloutId) -> Result<Rollout, EngineError> {
        let rollout = self.ask(|done| Ask::Rollout(id.clone(), done)).await?;
        rollout.ok_or_else(|| EngineError::Unknown(id.to_string()))
    }

    /// The events of a rollout after number `after`, each with its sentence.
    ///
    /// # Errors
    /// There is none of that id, or the log cannot be read.
    pub async fn history(&self, id: &RolloutId, after: u64) -> Result<Vec<EventView>, EngineError> {
        super::history::read(&self.store, id, after).await
    }

    /// The last few dozen events of a rollout but its windows of traffic, the oldest first.
    /// Reads only what is new since it was last asked.
    ///
    /// # Errors
    /// There is none of that id, or the log cannot be read.
    pub async fn moves(&self, id: &RolloutId) -> Result<Vec<EventView>, EngineError> {
        self.replays.moves(&self.store, id).await
    }

    /// Which rollouts change, as they do.
    pub fn changes(&self) -> broadcast::Receiver<RolloutId> {
        self.changes.subscribe()
    }

    /// The newest snapshot, as it changes; what a proxy process waits for.
    pub fn snapshots(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }

    /// Takes in what a proxy process tells.
    ///
    /// # Errors
    /// The engine has stopped.
    pub async fn sync(&self, report: ProxyReport) -> Result<ProxySync, EngineError> {
        self.ask(|done| Ask::Sync(Box::new(report), done)).await
    }

    /// Stops the loop: the embedded proxy drains, and the lease is given back.
    pub async fn stop(&self) {
        // An engine that has stopped already needs no stopping.
        let _ = self.ask(Ask::Stop).await;
    }

    /// An attempt at a delivery is marked in the outbox.
    pub(super) async fn settle(&self, key: &str, outcome: Outcome) -> Result<(), EngineError> {
        self.ask(|done| Ask::Mark(key.to_owned(), outcome, done)).await?
    }

    /// Where a message goes; `None` when its rollout is not known.
    pub(super) async fn address(&self, pending: &Pending) -> Result<Option<Address>, EngineError> {
        self.ask(|done| Ask::Address(Box::new(pending.clone()), done)).await
    }

    /// Answers once the loop has stopped, by itself or because it was told to.
    pub async fn ended(&self) {
        self.asks.closed().await;
    }

    /// The end of a delivery goes on record.
    pub(super) async fn settled(&self, id: RolloutId, settled: Settled) -> Result<(), EngineError> {
        self.ask(|done| Ask::Settled(id, settled, done)).await?
    }

    async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, EngineError> {
        let (done, answer) = oneshot::channel();
        self.asks.send(message(done)).await.map_err(|_| EngineError::Stopped)?;
        answer.await.map_err(|_| EngineError::Stopped)
    }
}
