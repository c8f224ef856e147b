//! The story: three releases, one after the other.

use std::time::Duration;

use rollout::machine::{Actor, RolloutId};
use server::engine::{Create, EngineError};
use server::view::{EventView, RolloutView};
use tokio::time::{interval, sleep, timeout};

use super::build::Build;
use super::load::{Figures, Load, LoadSettings};
use super::plan::{RATE, USERS};
use super::set::Set;
use super::show::Show;
use crate::exit::Failure;

/// How often the engine is asked what is new.
const LOOK: Duration = Duration::from_millis(100);
/// A rollout that takes longer than this went wrong; a good one takes half a minute.
const PATIENCE: Duration = Duration::from_mins(2);
/// Traffic on v1 alone before v2 comes, and after v3 has gone.
const QUIET: Duration = Duration::from_secs(2);

/// What came of it.
pub(super) struct Story {
    /// How each release ended, in order.
    pub(super) ends: Vec<RolloutView>,
    /// What the users met.
    pub(super) figures: Figures,
    /// How often the split of the traffic changed while users were there.
    pub(super) changes: usize,
}

/// Tells it to the end, whatever the outcomes are, and shows it meanwhile. The load goes on.
///
/// # Errors
/// The engine refuses, or a rollout does not come to an end.
pub(super) async fn tell(set: &Set, show: &mut Show) -> Result<(Story, Load), Failure> {
    let mut teller = Teller { set, show, load: None, changes: 0 };
    let first = teller.release(Build::V1).await?;
    let settings = LoadSettings { target: set.front.clone(), rate: RATE, users: USERS };
    let load = Load::start(settings)
        .map_err(|error| Failure::ours(format!("cannot start the load: {error}")))?;
    teller.show.says(&format!("{USERS} users send {RATE} requests a second through the proxy"));
    teller.load = Some(&load);
    sleep(QUIET).await;
    let second = teller.release(Build::V2).await?;
    let third = teller.release(Build::V3).await?;
    sleep(QUIET).await;
    let changes = teller.changes;
    let figures = load.figures();
    Ok((Story { ends: vec![first, second, third], figures, changes }, load))
}

struct Teller<'a> {
    set: &'a Set,
    show: &'a mut Show,
    load: Option<&'a Load>,
    changes: usize,
}

impl Teller<'_> {
    /// Releases `build`, to its end.
    async fn release(&mut self, build: Build) -> Result<RolloutView, Failure> {
        let create = Create {
            plan_name: "the demo's plan".to_owned(),
            plan: self.set.plan.clone(),
            version: build.to_string(),
            directory: self.set.folder()?.to_owned(),
            new_listen: false,
            again: false,
            by: Actor { who: "you".to_owned(), via: "demo".to_owned() },
        };
        let id = self.set.server.engine.create(create).await.map_err(told)?;
        match timeout(PATIENCE, self.follow(&id)).await {
            Ok(end) => end,
            Err(_) => Err(self.unfinished(&id).await),
        }
    }

    /// Shows a rollout until it is over.
    async fn follow(&mut self, id: &RolloutId) -> Result<RolloutView, Failure> {
        let engine = &self.set.server.engine;
        let mut looks = interval(LOOK);
        let mut seen = 0;
        loop {
            looks.tick().await;
            let view = engine.view(id).await.map_err(told)?;
            let news = engine.history(id, seen).await.map_err(told)?;
            seen = news.last().map_or(seen, |event| event.seq);
            let figures = self.load.map(Load::figures);
            if figures.is_some() {
                self.changes += news.iter().filter(|event| moves_traffic(event)).count();
            }
            self.show.update(&view, &news, figures.as_ref())?;
            if view.over {
                return Ok(view);
            }
        }
    }

    /// Why it was not over in time, as the rollout itself puts it.
    async fn unfinished(&self, id: &RolloutId) -> Failure {
        let why = match self.set.server.engine.view(id).await {
            Ok(view) => view.why,
            Err(error) => error.to_string(),
        };
        Failure::ours(format!("{id} was not over within {PATIENCE:?}: {why}"))
    }
}

/// Whether an event changes who meets what.
fn moves_traffic(event: &EventView) -> bool {
    matches!(event.kind.as_str(), "stage_started" | "rollback_started" | "promoted")
}

/// What the engine says, with the findings where it is about the plan.
fn told(error: EngineError) -> Failure {
    match error {
        EngineError::Plan(findings) => {
            let messages: Vec<String> =
                findings.iter().map(|finding| finding.message.clone()).collect();
            Failure::ours(format!("the demo's plan has errors: {}", messages.join("; ")))
        }
        other => Failure::ours(other),
    }
}
