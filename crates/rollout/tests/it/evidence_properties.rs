//! What must hold of evidence whatever was counted.

use proptest::prelude::*;
use rollout::evidence::histogram::{BUCKETS, bucket_of, merge, quantile_us, upper_us};
use rollout::evidence::sequential::{R_BAD, R_GOOD, R_LAT, gain, log_e, lower_bound, upper_bound};
use rollout::evidence::wealth::Wealth;
use rollout::evidence::{GateSpec, GateState, Tally, Trip, TripSpec};
use rollout::plan::{Metric, Test};
use rollout::units::Millis;

fn real(count: u32) -> f64 {
    f64::from(count)
}

proptest! {
    #[test]
    fn one_more_failure_is_never_evidence_for_the_canary(
        total in 1_u32..1_000_000, part in 0.0..1.0_f64, limit in 1e-5..0.99_f64,
    ) {
        let bad = (real(total) * part).floor().min(real(total) - 1.0);
        for ratios in [&R_BAD[..], &R_LAT[..]] {
            let [less, more] = [bad, bad + 1.0].map(|bad| log_e(bad, real(total), limit, ratios));
            prop_assert!(more > less, "{less} then {more}");
        }
        let [less, more] = [bad, bad + 1.0].map(|bad| log_e(bad, real(total), limit, &R_GOOD));
        prop_assert!(more < less, "{less} then {more}");
    }

    #[test]
    fn the_order_of_requests_does_not_matter(
        outcomes in prop::collection::vec(any::<bool>(), 0..200), limit in 0.001..0.9_f64,
    ) {
        let mut wealth = Wealth::<8>::new(0.0);
        for &bad in &outcomes {
            wealth.grow(R_BAD.map(|ratio| gain(f64::from(u8::from(bad)), 1.0, limit, ratio)));
        }
        let bad = outcomes.iter().map(|&bad| f64::from(u8::from(bad))).sum();
        let total = outcomes.iter().map(|_| 1.0).sum();
        let whole = log_e(bad, total, limit, &R_BAD);
        prop_assert!((wealth.ln() - whole).abs() <= 1e-9 * whole.abs().max(1.0));
    }

    #[test]
    fn the_share_seen_lies_between_its_bounds(
        total in 1_u32..1_000_000, part in 0.0..=1.0_f64, ln_needed in 1.0..20.0_f64,
    ) {
        let bad = (real(total) * part).floor();
        let share = bad / real(total);
        let lower = lower_bound(bad, real(total), ln_needed, &R_BAD);
        let upper = upper_bound(bad, real(total), ln_needed, &R_GOOD);
        prop_assert!(0.0 <= lower && lower <= share && share <= upper && upper <= 1.0);
    }

    #[test]
    fn slower_requests_are_never_in_an_earlier_bucket(us in 0_u64..1 << 40, more in 0_u64..1 << 40) {
        prop_assert!(bucket_of(us) <= bucket_of(us + more));
        prop_assert!(usize::from(bucket_of(us)) < BUCKETS);
        prop_assert!(upper_us(bucket_of(us)) >= us.min((1 << 32) - 1));
    }

    #[test]
    fn a_quantile_of_buckets_is_that_of_the_requests_within_one_percent(
        mut latencies in prop::collection::vec(1_u64..4_000_000_000, 1..300), q in 0.0..=1.0_f64,
    ) {
        let mut sparse = Vec::new();
        for &us in &latencies {
            merge(&mut sparse, &[(bucket_of(us), 1)]);
        }
        latencies.sort_unstable();
        let rank = (q * real(u32::try_from(latencies.len()).unwrap())).ceil();
        let exact = latencies.iter().zip(1_u32..).find(|&(_, at)| real(at) >= rank).unwrap().0;
        let found = quantile_us(&sparse, q).unwrap();
        prop_assert!(found.abs_diff(*exact) * 100 <= *exact, "{found} for {exact}");
    }
}

/// Calls `visit` with every history of `length` outcomes and its probability.
fn each_history<T: Copy>(outcomes: &[(T, f64)], length: usize, visit: &mut impl FnMut(&[T], f64)) {
    fn go<T: Copy>(
        outcomes: &[(T, f64)],
        left: usize,
        past: &mut Vec<T>,
        chance: f64,
        visit: &mut impl FnMut(&[T], f64),
    ) {
        if left == 0 {
            return visit(past, chance);
        }
        for &(outcome, probability) in outcomes {
            past.push(outcome);
            go(outcomes, left - 1, past, chance * probability, visit);
            past.pop();
        }
    }
    go(outcomes, length, &mut Vec::new(), 1.0, visit);
}

/// The mean of `e^evidence` over every history: at most one for an e-process, exactly one
/// for a martingale.
fn mean_evidence<T: Copy>(
    outcomes: &[(T, f64)],
    length: usize,
    evidence: impl Fn(&[T]) -> f64,
) -> f64 {
    let mut mean = 0.0;
    each_history(outcomes, length, &mut |past, chance| {
        mean += chance * evidence(past).exp();
    });
    mean
}

#[test]
fn requests_of_a_healthy_canary_earn_nothing_on_average() {
    for limit in [0.01, 0.2, 0.5] {
        for (rate, ratios, exact) in [
            (limit, &R_BAD[..], true),
            (limit, &R_GOOD[..], true),
            (limit, &R_LAT[..], true),
            (limit / 2.0, &R_BAD[..], false),
            (limit * 1.5, &R_GOOD[..], false),
        ] {
            let outcomes = [(1.0, rate), (0.0, 1.0 - rate)];
            let mean =
                mean_evidence(&outcomes, 10, |past| log_e(past.iter().sum(), 10.0, limit, ratios));
            assert!(mean <= 1.0 + 1e-9, "{mean} at {rate} against {limit}");
            assert_eq!((mean - 1.0).abs() < 1e-9, exact, "{mean} at {rate} against {limit}");
        }
    }
}

#[test]
fn blocks_of_a_healthy_canary_earn_nothing_on_average_whatever_happens_inside_them() {
    let spec = GateSpec {
        test: Test::Below { limit: 0.1 },
        metric: Metric::ErrorRate,
        ln_fail: 1_000.0,
        ln_pass: 3.0,
        min_requests: 0,
        restart_every_blocks: 2,
        restarts: 3,
    };
    // All of a block fails or none of it: dependence at its worst, with a mean at the limit.
    for (bad, chance) in [(20, 0.1), (10, 0.2), (4, 0.5), (20, 0.05)] {
        let outcomes = [(bad, chance), (0, 1.0 - chance)];
        let evidence = |past: &[u64]| {
            let mut state = GateState::new();
            for &bad in past {
                let canary = Tally { bad, total: 20 };
                state.observe(&spec, canary, Tally::default(), Millis::from_secs(30));
            }
            state.verdict(&spec).numbers.evidence
        };
        for length in [1, 4, 8] {
            let mean = mean_evidence(&outcomes, length, evidence);
            let healthy_at_limit = chance * f64::from(u32::try_from(bad).unwrap()) / 20.0 > 0.0999;
            assert!(mean <= 1.0 + 1e-9, "{mean}");
            assert_eq!((mean - 1.0).abs() < 1e-9, healthy_at_limit, "{mean}");
        }
    }
}

#[test]
fn blocks_of_a_canary_like_stable_earn_nothing_on_average_in_a_shared_outage() {
    let spec = GateSpec {
        test: Test::NoWorseThanStable,
        metric: Metric::ErrorRate,
        ln_fail: 1_000.0,
        ln_pass: 3.0,
        min_requests: 0,
        restart_every_blocks: 2,
        restarts: 3,
    };
    for rate in [0.05, 0.5, 0.9] {
        // Two requests to the canary and one to stable, each failing with the same rate.
        let outcomes: Vec<((u64, u64), f64)> = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
            .map(|(canary, stable): (i32, i32)| {
                let ways = if canary == 1 { 2.0 } else { 1.0 };
                let chance = ways * rate_power(rate, canary + stable, 3);
                ((u64::try_from(canary).unwrap(), u64::try_from(stable).unwrap()), chance)
            })
            .to_vec();
        let mean = mean_evidence(&outcomes, 5, |past| {
            let mut state = GateState::new();
            for &(bad, stable_bad) in past {
                let stable = Tally { bad: stable_bad, total: 1 };
                state.observe(&spec, Tally { bad, total: 2 }, stable, Millis::from_secs(30));
            }
            state.verdict(&spec).numbers.evidence
        });
        assert!((mean - 1.0).abs() < 1e-9, "{mean} at {rate}");
    }
}

fn rate_power(rate: f64, bad: i32, total: i32) -> f64 {
    rate.powi(bad) * (1.0 - rate).powi(total - bad)
}

/// The claim under which quiet looks are carried over: at one request a look, whichever track
/// it goes to and however common failures are, a canary like stable earns nothing on average.
#[test]
fn looks_at_single_requests_of_a_canary_like_stable_earn_nothing_on_average() {
    let spec = TripSpec {
        limit: 0.25,
        psi: 1.0,
        ln_threshold: 9.0,
        restart_every: Millis::from_secs(10),
        restarts: 4,
    };
    for (weight, rate) in [(0.5, 0.3), (0.1, 0.05), (0.8, 0.9)] {
        let (one, none) = (Tally { bad: 1, total: 1 }, Tally { bad: 0, total: 1 });
        let outcomes = [
            ((one, Tally::default()), weight * rate),
            ((none, Tally::default()), weight * (1.0 - rate)),
            ((Tally::default(), one), (1.0 - weight) * rate),
            ((Tally::default(), none), (1.0 - weight) * (1.0 - rate)),
        ];
        let mean = mean_evidence(&outcomes, 6, |past| {
            let mut trip = Trip::new(&spec);
            for (look, &(canary, stable)) in past.iter().enumerate() {
                trip.observe(&spec, canary, stable);
                if look == 3 {
                    trip.restart(&spec);
                }
            }
            trip.numbers().relative.unwrap_or(0.0)
        });
        assert!((mean - 1.0).abs() < 1e-9, "{mean} at weight {weight} and rate {rate}");
    }
}
