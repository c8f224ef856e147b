//! The figures of each stage.

use rollout::evidence::{Apart, Mirrored};
use rollout::machine::{GateVerdict, Rollout, StageRecord, TrackTotals, verdicts};
use rollout::units::{Millis, Weight};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::documents::time::rfc3339;

/// One stage, or the bake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageReport {
    /// Its name; `bake` for the bake.
    pub name: String,
    /// Who could meet the canary, in thousandths of a percent.
    #[schema(value_type = u32)]
    pub weight: Weight,
    /// When it began.
    pub started_at: String,
    /// When it ended; `None` while it lasts.
    pub ended_at: Option<String>,
    /// From its start to its end; `None` while it lasts.
    #[schema(value_type = Option<u64>)]
    pub lasted: Option<Millis>,
    /// Time in which the canary was seen to have requests.
    #[schema(value_type = u64)]
    pub observed: Millis,
    /// Time of which nothing is known of the canary: its counts were missing.
    #[schema(value_type = u64)]
    pub unknown: Millis,
    /// Time of which nothing is known of stable.
    #[schema(value_type = u64)]
    pub stable_unknown: Millis,
    /// What the canary did.
    pub canary: TrackReport,
    /// What stable did meanwhile.
    pub stable: TrackReport,
    /// What became of copies of requests that stable answered; `None` without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorReport>,
    /// What each gate said when the stage ended, or says now.
    pub gates: Vec<GateReport>,
}

/// What one track did in a stage. Latencies are to the first byte.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrackReport {
    /// Requests answered or failed.
    pub requests: u64,
    /// Requests the version failed.
    pub errors: u64,
    /// Requests whose client went away first; not among `requests`.
    pub client_gone: u64,
    /// Errors that stable answered in its place, so that no client saw them.
    #[serde(default)]
    pub shielded: u64,
    /// Requests of testers, and those of them the version failed; not among `requests`.
    #[serde(default)]
    pub testers: [u64; 2],
    /// Likewise of users who are on one side by their segment.
    #[serde(default)]
    pub segments: [u64; 2],
    /// Errors per request, 0..=1; `None` without requests.
    pub error_rate: Option<f64>,
    /// Median latency in milliseconds; `None` without requests.
    pub p50_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// 99.9th percentile.
    pub p999_ms: Option<f64>,
}

/// What became of copies that the canary got while nobody met it. Latencies are to the first byte,
/// of stable and of the copies in the same requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MirrorReport {
    /// Copies sent.
    pub sent: u64,
    /// Copies not sent, because too many were under way.
    pub dropped: u64,
    /// Copies whose answer could be compared with stable's.
    pub compared: u64,
    /// Copies of those whose status was not stable's.
    pub different: u64,
    /// Which statuses those were: stable's, the copy's, how often; at most 32 pairs.
    pub pairs: Vec<[u64; 3]>,
    /// Median latency in milliseconds, stable's and the copies'; `None` without any compared.
    pub p50_ms: Option<[f64; 2]>,
    /// 99th percentile.
    pub p99_ms: Option<[f64; 2]>,
}

/// What one gate said, and on which numbers. Shares are 0..=1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct GateReport {
    /// The metric, as the plan writes it.
    pub gate: String,
    /// The condition, as the plan writes it.
    pub reads: String,
    /// `pass`, `fail` or `hold` (cannot tell).
    pub answer: String,
    /// Why.
    pub reason: String,
    /// Requests to the canary it rests on.
    pub requests: u64,
    /// Those of them that were bad in the sense of the gate.
    pub bad: u64,
    /// Their share; `None` without requests.
    pub rate: Option<f64>,
    /// Lower confidence bound of the true share.
    pub lower: Option<f64>,
    /// Upper confidence bound of the true share.
    pub upper: Option<f64>,
    /// The limit on the share; for comparisons it follows from stable.
    pub limit: Option<f64>,
    /// Stable's share meanwhile.
    pub stable_rate: Option<f64>,
}

/// The stages that began, in order.
pub(super) fn stages(rollout: &Rollout) -> Vec<StageReport> {
    rollout.records.iter().map(|record| stage(rollout, record)).collect()
}

fn stage(rollout: &Rollout, record: &StageRecord) -> StageReport {
    let now;
    let said = if record.ended_at.is_some() {
        &record.verdicts
    } else {
        now = verdicts(rollout);
        &now
    };
    StageReport {
        name: record.name.clone(),
        weight: record.weight,
        started_at: rfc3339(record.started_at),
        ended_at: record.ended_at.map(rfc3339),
        lasted: record.ended_at.map(|ended| ended.since(record.started_at)),
        observed: record.observed,
        unknown: record.unknown,
        stable_unknown: record.stable_unknown,
        canary: track(&record.canary),
        stable: track(&record.stable),
        mirror: record.canary.mirrored.as_deref().map(mirror),
        gates: said.iter().map(gate).collect(),
    }
}

const fn apart(counted: Apart) -> [u64; 2] {
    [counted.requests, counted.failures]
}

fn track(totals: &TrackTotals) -> TrackReport {
    let millis = |quantile: f64| totals.quantile_us(quantile).map(micros_to_millis);
    TrackReport {
        requests: totals.requests,
        errors: totals.failures,
        client_gone: totals.client_gone,
        shielded: totals.shielded,
        testers: apart(totals.testers),
        segments: apart(totals.segments),
        error_rate: totals.error_rate(),
        p50_ms: millis(0.5),
        p99_ms: millis(0.99),
        p999_ms: millis(0.999),
    }
}

fn mirror(mirrored: &Mirrored) -> MirrorReport {
    let millis = |quantile: f64| mirrored.quantiles_us(quantile).map(|us| us.map(micros_to_millis));
    let Mirrored { sent, dropped, compared, different, pairs, .. } = mirrored;
    let pairs = pairs.iter().map(|&(stable, copy, count)| [stable.into(), copy.into(), count]);
    MirrorReport {
        sent: *sent,
        dropped: *dropped,
        compared: *compared,
        different: *different,
        pairs: pairs.collect(),
        p50_ms: millis(0.5),
        p99_ms: millis(0.99),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn micros_to_millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

fn gate(found: &GateVerdict) -> GateReport {
    let GateVerdict { gate, reads, verdict } = found;
    let numbers = &verdict.numbers;
    GateReport {
        gate: gate.clone(),
        reads: reads.clone(),
        answer: verdict.answer.name().to_owned(),
        reason: verdict.reason.to_string(),
        requests: numbers.requests,
        bad: numbers.bad,
        rate: numbers.rate,
        lower: numbers.lower,
        upper: numbers.upper,
        limit: numbers.limit,
        stable_rate: numbers.stable_rate,
    }
}
