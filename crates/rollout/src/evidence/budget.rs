//! One budget for the whole rollout: how often the machine may be wrong, divided.
//!
//! **Rolling back.** `false_rollback_rate` covers everything that can roll back by itself.
//! Trips take a tenth of it and verdicts nine tenths, each divided equally over the pairs of
//! stage and guardrail gate. By Bonferroni's inequality the sum of what each may do falsely is
//! the budget, however the gates depend on each other. Gates with a plain threshold
//! ([`Test::Sustained`]) claim no rate and take none.
//!
//! **Passing.** `false_pass_rate` holds for each stage, undivided: a stage passes only when
//! *every* gate does, so a stage with one broken gate passes falsely at most as often as that
//! one gate does. More gates make it rarer, never more frequent.

use super::gate::GateSpec;
use super::logs::{ln_sum_exp, real};
use super::trip::{TripSpec, catastrophe_limit};
use crate::plan::{Budget, Gate, Metric, Plan, Stage, Test, Then};
use crate::route::TripRule;
use crate::units::Millis;

/// The part of the rollback budget that trips take.
const TRIP_PART: f64 = 0.1;
/// Rates are taken as at least this, so that a rate of zero asks for much evidence, not for
/// infinitely much.
const LEAST_RATE: f64 = 1e-12;
/// How often verdicts get fresh wealth.
const VERDICT_RESTART: Millis = Millis::from_secs(300);
/// Verdicts spread their cash over at least so many restarts, eight hours: a stage may hold for
/// long, and a bake of a day goes on with the evidence of a last stage that has no soak at all.
const VERDICT_RESTARTS_AT_LEAST: u32 = 96;
/// How often trips do.
const TRIP_RESTART: Millis = Millis::from_secs(10);
/// Trips spread what time puts in over at least an hour: stages often last longer than their soak.
/// What is put in after failures comes out of the same cash: hours with some of them cost a trip a
/// few failures more.
const TRIP_RESTARTS_AT_LEAST: u32 = 360;
/// What nobody would roll back for: a canary half as bad again as stable.
pub(super) const PSI: f64 = 1.5;
/// The error rate taken as a gate's limit where it names none of its own.
const NOMINAL_LIMIT: f64 = 0.01;

/// Natural log of the weighted average of e-values, which is an e-value again: pairs of
/// (log e-value, weight), the weights fixed beforehand and summing to one.
pub fn average(parts: &[(f64, f64)]) -> f64 {
    ln_sum_exp(parts.iter().map(|&(ln, weight)| ln + weight.ln()))
}

/// The evidence a verdict needs to roll back, `ln 1/alpha`, when `pairs` of stage and gate
/// share the budget.
pub fn ln_fail(budget: &Budget, pairs: usize) -> f64 {
    ln_share(budget.false_rollback_rate * (1.0 - TRIP_PART), pairs)
}

/// The evidence a trip needs, `ln 1/alpha`, when `pairs` of stage and gate share the budget.
pub fn ln_trip(budget: &Budget, pairs: usize) -> f64 {
    ln_share(budget.false_rollback_rate * TRIP_PART, pairs)
}

/// The evidence a gate needs to pass, `ln 1/alpha`.
pub fn ln_pass(budget: &Budget) -> f64 {
    ln_share(budget.false_pass_rate, 1)
}

fn ln_share(rate: f64, pairs: usize) -> f64 {
    let pairs = u64::try_from(pairs).unwrap_or(u64::MAX).max(1);
    (real(pairs) / rate.max(LEAST_RATE)).ln()
}

/// How many pairs of stage and gate of `plan` can roll back on evidence.
pub fn guarded(plan: &Plan) -> usize {
    plan.stages.iter().flat_map(|stage| &stage.gates).filter(|gate| can_roll_back(gate)).count()
}

fn can_roll_back(gate: &Gate) -> bool {
    gate.then == Then::RollBack && !matches!(gate.test, Test::Sustained { .. })
}

/// What the gates of a stage are judged by, in the plan's order; none for a stage that does
/// not exist. Gates that only hold or alert need the same evidence as those that roll back.
pub fn gate_specs(plan: &Plan, stage: usize) -> Vec<GateSpec> {
    let (ln_fail, ln_pass) = (ln_fail(&plan.budget, guarded(plan)), ln_pass(&plan.budget));
    let spec = |gate: &Gate, soak: Millis| GateSpec {
        test: gate.test,
        metric: gate.metric,
        ln_fail,
        ln_pass,
        min_requests: plan.min_requests,
        restart_every_blocks: times(VERDICT_RESTART, plan.block()),
        restarts: times(soak, VERDICT_RESTART.max(plan.block())).max(VERDICT_RESTARTS_AT_LEAST),
    };
    let stage = plan.stages.get(stage);
    stage
        .into_iter()
        .flat_map(|stage| stage.gates.iter().map(|gate| spec(gate, stage.soak)))
        .collect()
}

/// What the guard watches during a stage: a trip for each gate that rolls back and has a
/// catastrophe to be told apart; none for a stage that does not exist.
pub fn trip_rules(plan: &Plan, stage: usize) -> Vec<TripRule> {
    let (ln_threshold, limits_us) =
        (ln_trip(&plan.budget, guarded(plan)), plan.latency_limits_us());
    let rule = |stage: &Stage, gate: &Gate| {
        Some(TripRule {
            gate: format!("{} {}", gate.name(), gate.reads),
            bad: gate.metric.bad(&limits_us)?,
            spec: TripSpec {
                limit: catastrophe_limit(own_limit(gate)?)?,
                psi: PSI,
                ln_threshold,
                restart_every: TRIP_RESTART,
                restarts: times(stage.soak, TRIP_RESTART).max(TRIP_RESTARTS_AT_LEAST),
            },
        })
    };
    let stage = plan.stages.get(stage);
    stage
        .into_iter()
        .flat_map(|stage| {
            stage
                .gates
                .iter()
                .filter(|gate| can_roll_back(gate))
                .filter_map(move |gate| rule(stage, gate))
        })
        .collect()
}

/// The limit a gate's catastrophe is measured from. A gate that only compares has none of
/// its own: failures then count as from 1 %, and slowness is left to the blocks.
const fn own_limit(gate: &Gate) -> Option<f64> {
    match (gate.test, gate.metric) {
        (Test::Below { limit }, _) => Some(limit),
        (
            Test::BelowStablePlus { .. } | Test::NoWorseThanStable,
            Metric::ErrorRate | Metric::SuccessRate,
        ) => Some(NOMINAL_LIMIT),
        (Test::BelowStablePlus { .. } | Test::NoWorseThanStable | Test::Sustained { .. }, _) => {
            None
        }
    }
}

/// How often `part` fits into `whole`, at least once.
fn times(whole: Millis, part: Millis) -> u32 {
    u32::try_from(whole.0.checked_div(part.0).unwrap_or(1)).unwrap_or(u32::MAX).max(1)
}
