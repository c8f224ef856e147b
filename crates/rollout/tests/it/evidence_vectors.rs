//! The evidence formulas against figures computed with 60 digits.
//!
//! `data/evidence-vectors.json` names its tolerance: relative or absolute 1e-10.

use rollout::evidence::Tally;
use rollout::evidence::blocks::{FailBets, Observation, PassBets};
use rollout::evidence::budget::average;
use rollout::evidence::sequential::{R_BAD, R_GOOD, R_LAT, gain, log_e, lower_bound, upper_bound};
use rollout::evidence::two_sample::{gains, theta};
use rollout::evidence::wealth::Wealth;
use serde_json::Value;

fn vectors(family: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("data/evidence-vectors.json")).unwrap();
    let cases = all[family].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{family} has cases");
    cases
}

/// A number, or one written as text to keep its digits.
fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().unwrap().iter().map(number).collect()
}

fn near(found: f64, expected: f64, case: &Value) {
    let allowed = 1e-10 * expected.abs().max(1.0);
    assert!((found - expected).abs() <= allowed, "{found} is not {expected} in {case}");
}

fn counts(case: &Value) -> (f64, f64) {
    (number(&case["S"]), number(&case["N"]))
}

/// The intervals of a comparison as (canary, stable).
fn intervals(case: &Value) -> Vec<(Tally, Tally)> {
    let rows = case["blocks_nc_sc_nb_sb"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            let [nc, sc, nb, sb] = [0, 1, 2, 3].map(|i| row[i].as_u64().unwrap());
            (Tally { bad: sc, total: nc }, Tally { bad: sb, total: nb })
        })
        .collect()
}

#[test]
fn evidence_for_a_broken_limit_is_exact() {
    for case in vectors("one_sample_rollback") {
        let (bad, total) = counts(&case);
        near(log_e(bad, total, number(&case["m"]), &R_BAD), number(&case["logE"]), &case);
    }
}

#[test]
fn evidence_for_a_kept_limit_is_exact() {
    for case in vectors("one_sample_pass") {
        let (bad, total) = counts(&case);
        near(log_e(bad, total, number(&case["m"]), &R_GOOD), number(&case["logE"]), &case);
    }
}

#[test]
fn evidence_for_a_slower_quantile_is_exact() {
    for case in vectors("latency_quantile_rollback_R_LAT") {
        let (bad, total) = counts(&case);
        near(log_e(bad, total, number(&case["m"]), &R_LAT), number(&case["logE"]), &case);
    }
}

/// How many bad requests of all of a case are `enough`: the number at which it turns.
fn turning(case: &Value, ratios: &[f64], enough: impl Fn(f64) -> bool) -> Option<u32> {
    let (total, limit) = (number(&case["N"]), number(&case["m"]));
    let all = u32::try_from(case["N"].as_u64().unwrap()).unwrap();
    (0..=all).find(|&bad| enough(log_e(f64::from(bad), total, limit, ratios)))
}

#[test]
fn the_fewest_failures_that_fail_a_gate_are_known() {
    for case in vectors("rollback_boundary_min_failures") {
        let needed = -number(&case["alpha"]).ln();
        let found = turning(&case, &R_BAD, |evidence| evidence >= needed);
        assert_eq!(found.map(u64::from), case["S_min"].as_u64(), "{case}");
    }
}

#[test]
fn the_most_failures_that_pass_a_gate_are_known() {
    for case in vectors("pass_boundary_max_failures") {
        let needed = -number(&case["alpha"]).ln();
        let too_many = turning(&case, &R_GOOD, |evidence| evidence < needed);
        let most = too_many.and_then(|bad| bad.checked_sub(1)).map(u64::from);
        assert_eq!(most, case["S_max"].as_u64(), "{case}");
    }
}

#[test]
fn confidence_bounds_are_exact() {
    for case in vectors("conf_bounds") {
        let (bad, total) = counts(&case);
        let lower = lower_bound(bad, total, -number(&case["alpha_lower"]).ln(), &R_BAD);
        let upper = upper_bound(bad, total, -number(&case["alpha_upper"]).ln(), &R_GOOD);
        near(lower, number(&case["lcb"]), &case);
        near(upper, number(&case["ucb"]), &case);
    }
}

#[test]
fn the_share_of_failures_that_is_the_canarys_is_exact() {
    for case in vectors("two_sample_null_probability") {
        let [canary, stable] = ["nc", "nb"].map(|key| case[key].as_u64().unwrap());
        near(theta(number(&case["psi0"]), canary, stable), number(&case["theta0"]), &case);
    }
}

#[test]
fn evidence_against_stable_is_exact_after_every_interval() {
    for case in vectors("two_sample_rollback") {
        let psi = number(&case["psi0"]);
        let mut wealth = Wealth::<8>::new(0.0);
        let mut found = Vec::new();
        for (canary, stable) in intervals(&case) {
            wealth.grow(gains(psi, canary, stable, R_BAD));
            found.push(wealth.ln());
        }
        let expected = numbers(&case["logE_after_each_block"]);
        let skipped = found.len() - expected.len();
        assert!(skipped == 0 || case["note"] == "only final value");
        for (found, expected) in found.into_iter().skip(skipped).zip(expected) {
            near(found, expected, &case);
        }
    }
}

#[test]
fn bets_on_blocks_against_a_limit_are_exact() {
    for case in vectors("block_bet_abs") {
        let mu = number(&case["mu0"]);
        let mut bets = FailBets::new(0.0);
        let mut found = Vec::new();
        for x in numbers(&case["block_fail_fraction"]) {
            bets.observe(Observation { x, mu });
            found.push(bets.log_e());
        }
        if case["logE_final"].is_string() {
            near(bets.log_e(), number(&case["logE_final"]), &case);
        } else {
            let expected = numbers(&case["logE_after_each_block"]);
            assert_eq!(found.len(), expected.len());
            found
                .into_iter()
                .zip(expected)
                .for_each(|(found, expected)| near(found, expected, &case));
        }
    }
}

#[test]
fn bets_on_blocks_against_stable_are_exact() {
    for case in vectors("block_bet_rel") {
        let mut bets = FailBets::new(0.0);
        let expected = numbers(&case["logE_after_each_block"]);
        let blocks = intervals(&case);
        assert_eq!(blocks.len(), expected.len());
        for ((canary, stable), expected) in blocks.into_iter().zip(expected) {
            if let Some(seen) = Observation::relative(canary, stable, number(&case["psi0"])) {
                bets.observe(seen);
            }
            near(bets.log_e(), expected, &case);
        }
    }
}

#[test]
fn bets_on_blocks_for_a_limit_are_exact() {
    for case in vectors("block_bet_pass") {
        let blocks: usize =
            case["blocks"].as_str().unwrap().strip_suffix(" zero blocks").unwrap().parse().unwrap();
        let mut bets = PassBets::new();
        for _ in 0..blocks {
            bets.observe(Observation { x: 0.0, mu: number(&case["mu0"]) });
        }
        near(bets.log_e(), number(&case["logE"]), &case);
    }
}

#[test]
fn restarts_of_blocks_are_exact() {
    for case in vectors("block_bet_restarts") {
        assert_eq!(case["block_values"], "30 x 0 then 6 x 0.10");
        let values = std::iter::repeat_n(0.0, 30).chain(std::iter::repeat_n(0.1, 6));
        let every = usize::try_from(case["restart_every_blocks"].as_u64().unwrap()).unwrap();
        let cash = 1.0 - number(&case["start_mass"]);
        let mut bets = FailBets::new(cash);
        let mut found = Vec::new();
        let mut parts = number(&case["J_later_starts"]);
        for (block, x) in values.enumerate() {
            if block > 0 && block % every == 0 {
                // Equal steps: one of the parts that are left.
                bets.restart(parts);
                parts -= 1.0;
            }
            bets.observe(Observation { x, mu: number(&case["mu0"]) });
            found.push(bets.log_e());
        }
        let expected = numbers(&case["logE_last_8"]);
        let last = found.split_off(found.len() - expected.len());
        last.into_iter().zip(expected).for_each(|(found, expected)| near(found, expected, &case));
    }
}

#[test]
fn restarts_of_single_requests_are_exact() {
    for case in vectors("shiryaev_mixture") {
        let limit = number(&case["m"]);
        let cash = 1.0 - number(&case["start_mass"]);
        let mut wealth = Wealth::<8>::new(cash);
        let expected = numbers(&case["logE_after_each_tick"]);
        for (tick, (row, expected)) in
            case["ticks_n_failures"].as_array().unwrap().iter().zip(expected).enumerate()
        {
            if tick > 0 {
                wealth.put_in(cash / number(&case["J_later_starts"]));
            }
            wealth.grow(R_BAD.map(|ratio| gain(number(&row[1]), number(&row[0]), limit, ratio)));
            near(wealth.ln(), expected, &case);
        }
    }
}

#[test]
fn averages_of_evidence_are_exact() {
    for case in vectors("combine_weighted_average") {
        let parts: Vec<_> =
            numbers(&case["logE"]).into_iter().zip(numbers(&case["weights"])).collect();
        near(average(&parts), number(&case["logE_combined"]), &case);
    }
}
