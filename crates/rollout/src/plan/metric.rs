//! What a gate may measure in this version.

use super::findings::{Findings, did_you_mean, listed};
use super::quantity::WHOLE;
use super::yaml::Entry;

/// What is measured, before its limit is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Measure {
    /// Failed requests of all.
    Failures,
    /// Requests that did not fail, of all.
    Successes,
    /// A latency quantile.
    Quantile {
        /// 0..1.
        quantile: f64,
        /// The share of requests that may be slower, in millionths of a percent.
        slower: u64,
    },
}

/// Every metric by its name. Requests are counted by the proxy; nothing else is measured.
const METRICS: [(&str, Measure); 7] = [
    ("error_rate", Measure::Failures),
    ("success_rate", Measure::Successes),
    ("p50", slower(0.5, WHOLE / 2)),
    ("p90", slower(0.9, WHOLE / 10)),
    ("p95", slower(0.95, WHOLE / 20)),
    ("p99", slower(0.99, WHOLE / 100)),
    ("p999", slower(0.999, WHOLE / 1_000)),
];

const fn slower(quantile: f64, slower: u64) -> Measure {
    Measure::Quantile { quantile, slower }
}

/// The metric called `name`, where it is measured.
pub(super) fn find(name: &str) -> Option<Measure> {
    METRICS.iter().find(|(known, _)| *known == name).map(|(_, measure)| *measure)
}

/// Says why the metric of `entry` is none: misspelled, or not measured in this version.
pub(super) fn report_unknown(entry: &Entry, findings: &mut Findings<'_>) {
    let known = METRICS.iter().map(|(name, _)| *name);
    let measured = listed(known.clone());
    let name = &entry.key;
    if let Some(help) = did_you_mean(name, known) {
        let message = format!("read the unknown metric `{name}`; allowed: {measured}");
        findings.error("unknown-metric", entry.place(), message, Some(help));
        return;
    }
    let message =
        format!("read `{name}`, which this version does not measure; allowed: {measured}");
    let help = "other metrics need a metric source, which this version does not have".to_owned();
    findings.error("metric-not-measured", entry.place(), message, Some(help));
}
