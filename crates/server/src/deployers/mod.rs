//! Who runs and stops versions.
//!
//! A deployer is level-triggered: it is told, over and over, the whole set of releases that
//! should run ([`Wanted`]), and makes the machine agree; what is not in the set is drained and
//! stopped. It answers with what it observes of each process ([`State`]); [`replicas`] sums that
//! up for a release.

pub mod process;
pub mod replicas;

use std::path::PathBuf;

use rollout::plan::Deploy;
use rollout::route::HealthCheck;
use rollout::units::{Millis, Timestamp};
use serde::Serialize;

/// One release that should run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The release's id, such as `analyzer-7`; it names a folder, so it must be a plain file
    /// name. A release is immutable: what changes here under the same id takes effect when its
    /// process next starts.
    pub release: String,
    /// The version, for `{version}` and `SLUICE_VERSION`.
    pub version: String,
    /// How it is run.
    pub deploy: Deploy,
    /// How it is asked whether it is ready.
    pub health: HealthCheck,
    /// How long it may take to end once told to; after that it is killed.
    pub drain: Millis,
    /// The plan file's folder, which `deploy.directory` is relative to.
    pub directory: PathBuf,
}

/// What a deployer observes of one process of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// Runs, has not answered its health check yet, and still may.
    Starting {
        /// When its process was started, or adopted.
        since: Timestamp,
    },
    /// Runs and has answered its health check.
    Ready {
        /// Where it serves, `host:port`.
        address: String,
        /// Its process.
        pid: i32,
    },
    /// Could not be started, ended by itself, or did not answer in time. The deployer goes on
    /// trying: it is `Ready` as soon as it answers.
    Failing {
        /// What happened last, with the last lines it printed where it ended by itself.
        why: String,
        /// How often it was started again since it last ran for a minute.
        restarts: u32,
    },
    /// Told to end; requests in flight may finish.
    Stopping,
    /// Gone: no process of it is left.
    Stopped,
}
