//! A plan and a version become a rollout.

use rollout::machine::{
    Actor, Command, Created, Event, Input, Release, Request, Rollout, RolloutId,
};
use rollout::plan;
use sha2::{Digest, Sha256};

use super::core::Core;
use super::handle::{Create, EngineError};
use super::testers::refuse_unknown_testers;
use crate::deployers::process::ProcessDeployer;
use crate::hex::hex;

impl Core {
    /// Creates a rollout; it waits for its turn, which comes at once when nothing else of the
    /// service is under way. A rollout that was waiting before gives up its place.
    ///
    /// # Errors
    /// The plan's findings, a refusal, or that the log cannot be written: nothing is started
    /// then.
    pub(super) async fn create(&mut self, create: Create) -> Result<RolloutId, EngineError> {
        let (plan, _) = plan::read(&create.plan_name, &create.plan).map_err(EngineError::Plan)?;
        self.refuse_address(&plan, create.new_listen).await?;
        refuse_unknown_testers(&plan).await?;
        check_version(&create.version)?;
        let digest =
            ProcessDeployer::digest(&plan.deploy, &create.version, create.directory.as_ref())
                .map_err(|error| EngineError::Invalid(error.to_string()))?;
        let request = Request {
            service: &plan.service,
            version: &create.version,
            digest: &digest,
            again: create.again,
        };
        let admitted = self.board.admit(&request)?;
        let release = Release {
            id: admitted.id.to_string(),
            version: create.version.clone(),
            digest,
            deploy: plan.deploy.clone(),
            directory: create.directory.clone(),
        };
        let created = Created {
            id: admitted.id.clone(),
            release,
            plan,
            plan_hash: hex(&Sha256::digest(create.plan.as_bytes())),
            by: create.by.clone(),
            again: create.again,
        };
        self.write_created(created).await?;
        self.supersede_older().await;
        self.note_receivers().await;
        Ok(admitted.id)
    }

    async fn write_created(&mut self, created: Created) -> Result<(), EngineError> {
        let at = self.clock.now();
        let rollout = Rollout::created(at, &created);
        let id = rollout.id.clone();
        let event = Event::Created(Box::new(created));
        let written =
            self.append(at, 0, std::slice::from_ref(&rollout), std::slice::from_ref(&event)).await;
        self.acknowledge(&id, written).await?;
        self.board.apply(at, &rollout, &event);
        self.settle_in(&id, rollout);
        Ok(())
    }

    /// Rollouts that wait though a newer one of their service has their place give it up.
    pub(super) async fn supersede_older(&mut self) {
        let older: Vec<(RolloutId, RolloutId)> = self
            .rollouts
            .values()
            .filter(|rollout| rollout.is_waiting())
            .filter_map(|rollout| {
                let facts = self.board.service(&rollout.plan.service)?;
                let newest = RolloutId(format!("{}-{}", rollout.plan.service, facts.newest));
                (newest != rollout.id).then(|| (rollout.id.clone(), newest))
            })
            .collect();
        for (id, by) in older {
            let who = Actor { who: "sluice".to_owned(), via: "engine".to_owned() };
            self.feed_logged(&id, Input::Command(Command::Supersede { by }, who)).await;
        }
    }
}

/// A version's name ends up in paths, arguments and labels.
fn check_version(version: &str) -> Result<(), EngineError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    if !version.is_empty() && version.len() <= 100 && version.chars().all(allowed) {
        return Ok(());
    }
    Err(EngineError::Invalid(format!(
        "read the version {version:?}; allowed: 1 to 100 letters, digits and . _ - +"
    )))
}
