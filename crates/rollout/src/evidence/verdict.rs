//! What a gate answers: Pass, Fail or Hold, why, and on which numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::Millis;

/// A gate's answer with its reason and its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// What it answers.
    pub answer: Answer,
    /// Why.
    pub reason: Reason,
    /// What it rests on.
    pub numbers: Numbers,
}

/// What a gate answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The canary keeps the gate.
    Pass,
    /// The canary breaks the gate.
    Fail,
    /// Cannot tell yet.
    Hold,
}

impl Answer {
    /// In one word, as the report, the command line and the dashboard write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Hold => "hold",
        }
    }
}

/// Why a gate answers what it does. Shares are 0..=1; printed, it is a fragment that completes
/// "the gate passes / fails / holds: ...".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Fail: the limit is broken, and stable does not explain it.
    AboveLimit {
        /// The canary's share of bad requests.
        rate: f64,
        /// The limit.
        limit: f64,
        /// Stable's share meanwhile, where it had traffic.
        stable: Option<f64>,
    },
    /// Fail: worse than stable.
    WorseThanStable {
        /// The canary's share of bad requests.
        rate: f64,
        /// Stable's share.
        stable: f64,
    },
    /// Fail: above stable by more than the margin.
    AboveStablePlus {
        /// The canary's share of bad requests.
        rate: f64,
        /// Stable's share.
        stable: f64,
        /// The margin.
        margin: f64,
    },
    /// Fail of a threshold: above it without a break.
    AboveFor {
        /// The limit.
        limit: f64,
        /// For how long.
        run: Millis,
    },
    /// Pass: the limit is kept.
    BelowLimit {
        /// The canary's share of bad requests.
        rate: f64,
        /// The limit, for comparisons as it follows from stable.
        limit: f64,
    },
    /// Pass of a threshold: the last block is not above it.
    NotAbove {
        /// The share in the last block with traffic.
        rate: f64,
        /// The limit.
        limit: f64,
    },
    /// Hold: nothing was observed yet.
    NoBlocks,
    /// Hold: the canary had no requests.
    NoRequests,
    /// Hold: nothing is known of the last block.
    Missing {
        /// Why, in the source's words.
        why: String,
    },
    /// Hold: a comparison without anything to compare with.
    NoStable,
    /// Hold: the canary had too few requests.
    TooFewRequests {
        /// What it had.
        requests: u64,
        /// What it needs.
        needed: u64,
    },
    /// Hold: too few blocks had requests.
    TooFewBlocks {
        /// How many had.
        blocks: u32,
        /// How many must.
        needed: u32,
    },
    /// Hold: the last block with traffic was above the limit, so this is no moment to advance.
    LastBlockAbove {
        /// The share in that block.
        rate: f64,
        /// The limit.
        limit: f64,
    },
    /// Hold: the limit is broken, but stable does no better.
    SharedWithStable {
        /// The canary's share of bad requests.
        rate: f64,
        /// The limit.
        limit: f64,
        /// Stable's share, where it had traffic.
        stable: Option<f64>,
    },
    /// Hold of a threshold: above it, but not for long enough.
    AboveSince {
        /// The limit.
        limit: f64,
        /// For how long.
        run: Millis,
        /// From when on it fails.
        lasting: Millis,
    },
    /// Hold: the counts allow both.
    CannotTell {
        /// The true share is hardly below this.
        lower: f64,
        /// Nor above this.
        upper: f64,
        /// The limit, for comparisons as it follows from stable.
        limit: f64,
    },
}

/// What a verdict rests on. Every number is finite. Evidence is in natural logarithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// Requests to the canary in this stage.
    pub requests: u64,
    /// Those of them that were bad.
    pub bad: u64,
    /// Their share, 0..=1.
    pub rate: Option<f64>,
    /// Lower confidence bound of the share, at the level of a Fail.
    pub lower: Option<f64>,
    /// Upper confidence bound of the share, at the level of a Pass.
    pub upper: Option<f64>,
    /// The limit on the share; for comparisons it follows from stable's share so far.
    pub limit: Option<f64>,
    /// Stable's share of bad requests meanwhile.
    pub stable_rate: Option<f64>,
    /// Evidence that the gate is broken; 0 for thresholds, which weigh none.
    pub evidence: f64,
    /// What a Fail needs.
    pub evidence_needed: f64,
    /// Evidence that the gate is kept; 0 for thresholds.
    pub pass_evidence: f64,
    /// What a Pass needs.
    pub pass_needed: f64,
    /// Blocks in which the canary had requests.
    pub blocks: u32,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AboveLimit { rate, limit, stable } => {
                bad(f, *rate, "above the limit of", *limit)?;
                beside(f, "while stable has", *stable)
            }
            Self::WorseThanStable { rate, stable } => bad(f, *rate, "worse than stable's", *stable),
            Self::AboveStablePlus { rate, stable, margin } => {
                let (rate, stable, margin) = (percent(*rate), percent(*stable), percent(*margin));
                write!(
                    f,
                    "{rate} of requests are bad, above stable's {stable} by more than {margin}"
                )
            }
            Self::AboveFor { limit, run } => {
                write!(f, "above {} for {run} without a break", percent(*limit))
            }
            Self::BelowLimit { rate, limit } => bad(f, *rate, "below the limit of", *limit),
            Self::NotAbove { rate, limit } => {
                write!(
                    f,
                    "{} of requests in the last block, not above {}",
                    percent(*rate),
                    percent(*limit)
                )
            }
            Self::NoBlocks => f.write_str("nothing has been observed yet"),
            Self::NoRequests => f.write_str("the canary has had no requests yet"),
            Self::Missing { why } => write!(f, "nothing is known of the last block: {why}"),
            Self::NoStable => f.write_str("no stable traffic to compare with"),
            Self::TooFewRequests { requests, needed } => {
                write!(f, "{requests} requests so far, {needed} needed")
            }
            Self::TooFewBlocks { blocks, needed } => {
                write!(f, "{blocks} of the {needed} blocks needed have had requests")
            }
            Self::LastBlockAbove { rate, limit } => {
                write!(
                    f,
                    "the last block was above the limit: {} against {}",
                    percent(*rate),
                    percent(*limit)
                )
            }
            Self::SharedWithStable { rate, limit, stable } => {
                bad(f, *rate, "above the limit of", *limit)?;
                beside(f, "but stable explains it with", *stable)
            }
            Self::AboveSince { limit, run, lasting } => {
                write!(f, "above {} for {run}, fails after {lasting}", percent(*limit))
            }
            Self::CannotTell { lower, upper, limit } => {
                let (lower, upper, limit) = (percent(*lower), percent(*upper), percent(*limit));
                write!(
                    f,
                    "cannot tell yet: between {lower} and {upper} of requests are bad, the limit is {limit}"
                )
            }
        }
    }
}

/// `5% of requests are bad, above the limit of 1%`.
fn bad(f: &mut fmt::Formatter<'_>, rate: f64, words: &str, other: f64) -> fmt::Result {
    write!(f, "{} of requests are bad, {words} {}", percent(rate), percent(other))
}

/// A share as people write it: at most three decimals, `1.25%`.
fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `, while stable has 0.2%`: the end of a sentence, if there is a stable.
fn beside(f: &mut fmt::Formatter<'_>, words: &str, stable: Option<f64>) -> fmt::Result {
    stable.map_or(Ok(()), |share| write!(f, ", {words} {}", percent(share)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_fragments_people_understand() {
        let said = [
            Reason::AboveLimit { rate: 0.051, limit: 0.01, stable: Some(0.002) },
            Reason::AboveLimit { rate: 1.0, limit: 0.001, stable: None },
            Reason::AboveStablePlus { rate: 0.03, stable: 0.002, margin: 0.005 },
            Reason::AboveFor { limit: 0.1, run: Millis::from_secs(300) },
            Reason::Missing { why: "prometheus did not answer within 5s".into() },
            Reason::CannotTell { lower: 0.0, upper: 0.012_345, limit: 0.01 },
        ]
        .map(|reason| reason.to_string());
        assert_eq!(
            said,
            [
                "5.1% of requests are bad, above the limit of 1%, while stable has 0.2%",
                "100% of requests are bad, above the limit of 0.1%",
                "3% of requests are bad, above stable's 0.2% by more than 0.5%",
                "above 10% for 5m without a break",
                "nothing is known of the last block: prometheus did not answer within 5s",
                "cannot tell yet: between 0% and 1.234% of requests are bad, the limit is 1%",
            ]
        );
    }
}
