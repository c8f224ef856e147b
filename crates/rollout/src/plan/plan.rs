//! The plan as meant: every default filled in, every unit resolved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gate::{Gate, Metric};
use crate::route::{
    Balance, DoorRoute, HealthCheck, Protocol, Route, Segments, Shield, Sticky, Timeouts,
};
use crate::units::{Millis, Weight};

/// How a release of one service reaches its users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The service's name: lower-case letters, digits and `-`, at most 40.
    pub service: String,
    /// The address the proxy takes the service's traffic on, `host:port`.
    pub listen: String,
    /// How connections to that address are taken in.
    #[serde(default)]
    pub door: DoorRoute,
    /// Which requests there are the service's.
    #[serde(default)]
    pub route: Route,
    /// How a version is run.
    pub deploy: Deploy,
    /// How a request is tied to a user.
    pub sticky: Sticky,
    /// Whose requests are on the side they ask for; `None` is nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub testers: Option<Testers>,
    /// Who meets the canary before all others, or not at all.
    #[serde(default)]
    pub segments: Segments,
    /// How upstreams are asked whether they are well.
    pub health: HealthCheck,
    /// How long each part of a request may take.
    pub timeouts: Timeouts,
    /// Whether and how stable answers what the canary fails; `None` leaves it failed.
    #[serde(default)]
    pub shield: Option<Shield>,
    /// How requests are spread over the upstreams of a version.
    #[serde(default)]
    pub balance: Balance,
    /// How long requests in flight may still take when a version leaves.
    pub drain: Millis,
    /// The stages in order; at least one, weights rising, the last at 100 %.
    pub stages: Vec<Stage>,
    /// How long the new release serves everyone while the old one is kept ready.
    pub bake: Millis,
    /// How long a stage that is past its soak may hold before a person is asked.
    pub hold_limit: Millis,
    /// The longest burst of failures that does not count as a broken version; a block is
    /// three times this.
    pub forgive: Millis,
    /// No stage ends on fewer requests to the canary than this.
    pub min_requests: u64,
    /// How often the machine may be wrong.
    pub budget: Budget,
    /// Who is told.
    pub notify: Vec<Webhook>,
}

/// One exposure, how long it soaks, and what must hold meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// The name, unique in the plan.
    pub name: String,
    /// Who may meet the canary.
    pub weight: Weight,
    /// Of how many requests it gets a copy while nobody meets it; zero where `weight` is not.
    #[serde(default, skip_serializing_if = "Weight::is_zero")]
    pub mirror: Weight,
    /// Observed time (time with traffic) the stage must last at least.
    pub soak: Millis,
    /// What is watched.
    pub gates: Vec<Gate>,
}

/// How the process deployer runs a version. `{port}` and `{version}` are filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// Program and arguments; no shell.
    pub command: Vec<String>,
    /// Variables set for it, besides `PORT` and `SLUICE_VERSION`.
    pub env: BTreeMap<String, String>,
    /// The folder it runs in; relative to the plan file's own.
    pub directory: Option<String>,
    /// How long it may take until its health check answers.
    pub ready_within: Millis,
    /// What it speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// How many processes of it run at once, at least 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub replicas: u32,
}

const fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_one(count: &u32) -> bool {
    *count == 1
}

/// How often the machine may be wrong, as probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// A healthy release is rolled back at most this often, over the whole rollout.
    pub false_rollback_rate: f64,
    /// A stage whose gate is not kept passes at most this often.
    pub false_pass_rate: f64,
}

/// Testers: requests that carry a secret in a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testers {
    /// The header, in lower case.
    pub header: String,
    /// Where the secret is: `env:NAME` or `file:PATH`; never the secret itself.
    pub secret: String,
}

/// A receiver of signed webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where to POST.
    pub url: String,
    /// Where the signing secret is: `env:NAME` or `file:PATH`; never the secret itself.
    pub secret: Option<String>,
}

/// No Pass on fewer blocks of evidence with traffic: with two, the spread between blocks is a
/// guess.
pub const MIN_BLOCKS: u32 = 3;

impl Stage {
    /// Who meets the canary, as people read it: `10%`, or `0% with copies of 10%`.
    pub fn exposure(&self) -> String {
        if self.mirrors() {
            format!("{} with copies of {}", self.weight, self.mirror)
        } else {
            self.weight.to_string()
        }
    }

    /// Whether it sends copies instead of users.
    pub const fn mirrors(&self) -> bool {
        self.weight.is_zero()
    }
}

impl Plan {
    /// How long `stage` lasts at least, with traffic all the time: its soak, and with gates
    /// three blocks of evidence.
    pub fn least(&self, stage: &Stage) -> Millis {
        if stage.gates.is_empty() {
            return stage.soak;
        }
        stage.soak.max(self.block().times(u64::from(MIN_BLOCKS)))
    }

    /// The length of one block of evidence: three times the forgiven burst.
    pub const fn block(&self) -> Millis {
        self.forgive.times(3)
    }

    /// Every latency limit any gate names, ascending, each once, in microseconds.
    pub fn latency_limits_us(&self) -> Vec<u64> {
        let gates = self.stages.iter().flat_map(|stage| &stage.gates);
        let mut limits: Vec<u64> = gates
            .filter_map(|gate| match gate.metric {
                Metric::Latency { limit_us, .. } => Some(limit_us),
                Metric::ErrorRate | Metric::SuccessRate => None,
            })
            .collect();
        limits.sort_unstable();
        limits.dedup();
        limits
    }
}
