//! What is known across the rollouts of a service: what serves, whose turn it is, and what
//! was rejected.
//!
//! One rollout of a service is under way at a time; one more may wait, and a newer one takes
//! its place. Made from the log alone, like everything else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::event::{Cause, Event};
use super::explain::explain_cause;
use super::input::{Actor, Command, Input, Refusal};
use super::state::{End, Release, Rollout, RolloutId, State};
use crate::plan::Plan;
use crate::units::Timestamp;

/// Every service there is, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    services: BTreeMap<String, ServiceFacts>,
}

/// What is known of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// The number of the newest rollout; 0 before the first.
    pub newest: u64,
    /// What serves, and under which plan it came to serve.
    pub stable: Option<(Release, Plan)>,
    /// The rollout under way.
    pub active: Option<RolloutId>,
    /// The rollout that waits for it to end.
    pub waiting: Option<RolloutId>,
    /// The digests of what is under way and what waits.
    pub underway: BTreeMap<RolloutId, String>,
    /// The rollout under way that is going back.
    pub going_back: Option<RolloutId>,
    /// A person took a rollout back, and what waits behind it has not been told yet that it is
    /// not to begin by itself.
    pub stopped: Option<Stopped>,
    /// Versions that were rolled back, by digest. They do not come back by themselves.
    pub rejected: BTreeMap<String, Rejected>,
}

/// A rollback that a person asked for: whoever does that does not want the next version to
/// begin unasked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Which rollout was taken back.
    pub rollout: RolloutId,
    /// By whom.
    pub by: Actor,
}

/// A version that was rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// In which rollout.
    pub rollout: RolloutId,
    /// When.
    pub at: Timestamp,
    /// Why, in one sentence.
    pub why: String,
}

/// What somebody asks to be released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The service.
    pub service: &'a str,
    /// The version's name.
    pub version: &'a str,
    /// What it really is.
    pub digest: &'a str,
    /// Try it although it was rolled back before.
    pub again: bool,
}

/// A request that may become a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The new rollout's id.
    pub id: RolloutId,
    /// The waiting rollout whose place it takes.
    pub supersedes: Option<RolloutId>,
}

impl Board {
    /// What is known of `service`, if it ever had a rollout.
    pub fn service(&self, service: &str) -> Option<&ServiceFacts> {
        self.services.get(service)
    }

    /// Every service, in the order of their names.
    pub fn services(&self) -> impl Iterator<Item = (&String, &ServiceFacts)> {
        self.services.iter()
    }

    /// What comes next for what waits, service by service.
    pub fn turns(&self) -> Vec<(RolloutId, Input)> {
        self.services.values().filter_map(ServiceFacts::turn).collect()
    }

    /// Takes in that `event` happened to a rollout, which is `after` now.
    pub fn apply(&mut self, at: Timestamp, after: &Rollout, event: &Event) {
        let facts = self.services.entry(after.plan.service.clone()).or_default();
        match event {
            Event::Created(_) => {
                facts.newest = facts.newest.saturating_add(1);
                facts.waiting = Some(after.id.clone());
                facts.stopped = None;
                facts.underway.insert(after.id.clone(), after.release.digest.clone());
            }
            Event::Began { .. } => {
                facts.leave_queue(&after.id);
                facts.active = Some(after.id.clone());
            }
            Event::RollbackStarted { cause } => {
                facts.reject(at, after, cause);
                facts.go_back(after, cause);
            }
            Event::Paused { .. } | Event::Resumed { .. }
                if facts.waiting.as_ref() == Some(&after.id) =>
            {
                facts.stopped = None;
            }
            _ => {}
        }
        if let State::Ended { end, .. } = &after.state {
            facts.end(after, end);
        }
    }

    /// Whether `request` may become a rollout, and under which id.
    ///
    /// # Errors
    /// A [`Refusal`] when the version already serves, is being released, or was rolled back
    /// before and is not asked for `again`.
    pub fn admit(&self, request: &Request<'_>) -> Result<Admitted, Refusal> {
        let nothing = ServiceFacts::default();
        let facts = self.services.get(request.service).unwrap_or(&nothing);
        facts.refuse_serving(request)?;
        facts.refuse_underway(request)?;
        facts.refuse_rejected(request)?;
        let number = facts.newest.saturating_add(1);
        Ok(Admitted {
            id: RolloutId(format!("{}-{number}", request.service)),
            supersedes: facts.waiting.clone(),
        })
    }
}

/// Who acts where nobody asked.
fn itself() -> Actor {
    Actor { who: "sluice".to_owned(), via: "queue".to_owned() }
}

impl ServiceFacts {
    fn leave_queue(&mut self, id: &RolloutId) {
        if self.waiting.as_ref() == Some(id) {
            self.waiting = None;
        }
    }

    fn go_back(&mut self, after: &Rollout, cause: &Cause) {
        self.going_back = Some(after.id.clone());
        if let Cause::Command { by, .. } = cause
            && self.waiting.is_some()
        {
            self.stopped = Some(Stopped { rollout: after.id.clone(), by: by.clone() });
        }
    }

    /// What is next for the rollout that waits: to be kept where it is when a person has taken
    /// the one before it back, to begin once nothing else is under way.
    fn turn(&self) -> Option<(RolloutId, Input)> {
        let id = self.waiting.clone()?;
        if let Some(stopped) = &self.stopped {
            let Stopped { rollout, by } = stopped;
            let why = format!("{} took {rollout} back while this one waited", by.who);
            return Some((id, Input::Command(Command::Pause { why }, itself())));
        }
        if self.active.is_some() {
            return None;
        }
        let stable = self.stable.as_ref().map(|(release, _)| release.clone());
        match &stable {
            Some(stable) if self.underway.get(&id) == Some(&stable.digest) => {
                let why = format!("its version serves already as {}", stable.id);
                Some((id, Input::Command(Command::RollBack { why }, itself())))
            }
            _ => Some((id, Input::Turn(stable))),
        }
    }

    /// A version that could not even be brought up was not judged: a missing variable or a
    /// port taken is no verdict on it.
    fn reject(&mut self, at: Timestamp, after: &Rollout, cause: &Cause) {
        if matches!(cause, Cause::DeployFailed(_)) {
            return;
        }
        let rejected = Rejected { rollout: after.id.clone(), at, why: explain_cause(cause) };
        self.rejected.insert(after.release.digest.clone(), rejected);
    }

    fn end(&mut self, after: &Rollout, end: &End) {
        self.leave_queue(&after.id);
        self.underway.remove(&after.id);
        if self.active.as_ref() == Some(&after.id) {
            self.active = None;
            self.going_back = None;
        }
        if *end == End::Promoted {
            self.rejected.remove(&after.release.digest);
            self.stable = Some((after.release.clone(), after.plan.clone()));
        }
    }

    fn refuse_serving(&self, request: &Request<'_>) -> Result<(), Refusal> {
        match &self.stable {
            Some((stable, _)) if stable.digest == request.digest && self.underway.is_empty() => {
                let message = format!(
                    "version {} of {} already serves as {} (same program, arguments and environment)",
                    request.version, request.service, stable.id
                );
                Err(Refusal::new("already-serves", message))
            }
            _ => Ok(()),
        }
    }

    fn refuse_underway(&self, request: &Request<'_>) -> Result<(), Refusal> {
        match self.underway.iter().find(|(_, digest)| digest.as_str() == request.digest) {
            Some((id, _)) if self.going_back.as_ref() == Some(id) => {
                let message = format!(
                    "{id} is taking version {} back; once that is over, ask for it again on purpose with --again",
                    request.version
                );
                Err(Refusal::new("going-back", message))
            }
            Some((id, _)) => {
                Err(Refusal::new("underway", format!("{id} is already releasing this version")))
            }
            None => Ok(()),
        }
    }

    fn refuse_rejected(&self, request: &Request<'_>) -> Result<(), Refusal> {
        match self.rejected.get(request.digest) {
            Some(rejected) if !request.again => {
                let message = format!(
                    "version {} was rolled back in {} ({}); ask for it again on purpose with --again",
                    request.version, rejected.rollout, rejected.why
                );
                Err(Refusal::new("rejected", message))
            }
            _ => Ok(()),
        }
    }
}
