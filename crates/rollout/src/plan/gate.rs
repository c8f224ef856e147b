//! Gates: conditions watched all through a stage.

use serde::{Deserialize, Serialize};

use crate::route::Bad;
use crate::units::Millis;

/// A condition watched all through a stage, as meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// What is measured.
    pub metric: Metric,
    /// The condition as the plan writes it, for people: `below 1%`.
    pub reads: String,
    /// When it counts as broken or kept.
    pub test: Test,
    /// What a broken gate does.
    pub then: Then,
}

/// What a gate measures. Each is a share of bad requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Failed requests of all requests.
    ErrorRate,
    /// The same, written the other way round: `success_rate: above 99%`.
    SuccessRate,
    /// A latency quantile: "p99 below 200ms" is "fewer than 1 % of requests take longer".
    Latency {
        /// The quantile, 0..1: 0.99 for p99.
        quantile: f64,
        /// The limit in microseconds.
        limit_us: u64,
    },
}

/// When a gate counts as broken or kept. Limits are shares of *bad* requests, 0..1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// `below 1%`: the share of bad requests is below `limit`.
    Below {
        /// The limit on the share of bad requests, 0..1 exclusive.
        limit: f64,
    },
    /// `below stable + 0.5%`: no more than `margin` above what serves today.
    BelowStablePlus {
        /// The margin, a share 0..1 exclusive.
        margin: f64,
    },
    /// `no worse than stable`: not explained by what serves today.
    NoWorseThanStable,
    /// A threshold that must be broken without a break for `lasting`: `above 10% for 5m`
    /// under `rollback_when`, or `breached_for: 1h`. No false-rollback rate is claimed.
    Sustained {
        /// The limit on the share of bad requests, 0..1 exclusive.
        limit: f64,
        /// How long without a break.
        lasting: Millis,
    },
}

/// What a broken gate does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// A guardrail: roll back.
    RollBack,
    /// A signal: the stage does not end while it is broken.
    Hold,
    /// Tell a person, who decides; the rollout goes on serving.
    Alert,
}

impl Metric {
    /// Which requests are bad, given the plan's latency limits in ascending order; `None`
    /// when the limit is not among them.
    pub fn bad(&self, latency_limits_us: &[u64]) -> Option<Bad> {
        match self {
            Self::ErrorRate | Self::SuccessRate => Some(Bad::Failed),
            Self::Latency { limit_us, .. } => {
                latency_limits_us.iter().position(|limit| limit == limit_us).map(Bad::SlowerThan)
            }
        }
    }
}

impl Gate {
    /// The gate's name: the metric, as the plan writes it (`error_rate`, `p99`).
    pub fn name(&self) -> String {
        match self.metric {
            Metric::ErrorRate => "error_rate".to_owned(),
            Metric::SuccessRate => "success_rate".to_owned(),
            Metric::Latency { quantile, .. } => quantile_name(quantile),
        }
    }
}

/// `p50`, `p99`, `p999`: the digits of the quantile after the point.
fn quantile_name(quantile: f64) -> String {
    let digits = format!("{quantile:.4}");
    let digits = digits.trim_start_matches("0.").trim_end_matches('0');
    format!("p{digits:0<2}")
}
