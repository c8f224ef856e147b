//! The rules of a verdict, one after the other.

use proptest::prelude::*;
use rollout::evidence::{Answer, GateSpec, GateState, Reason, Tally, Verdict};
use rollout::plan::{Metric, Test};
use rollout::units::Millis;

const BLOCK: Millis = Millis::from_secs(30);
const NOBODY: Tally = Tally { bad: 0, total: 0 };
const BELOW: Test = Test::Below { limit: 0.01 };
const ABOVE_FOR: Test = Test::Sustained { limit: 0.1, lasting: Millis::from_secs(120) };

fn of(bad: u64, total: u64) -> Tally {
    Tally { bad, total }
}

fn spec(test: Test) -> GateSpec {
    GateSpec {
        test,
        metric: Metric::ErrorRate,
        ln_fail: (6.0_f64 / 0.009).ln(),
        ln_pass: 20.0_f64.ln(),
        min_requests: 100,
        restart_every_blocks: 10,
        restarts: 96,
    }
}

/// The state after these blocks of (canary, stable).
fn after(test: Test, blocks: impl IntoIterator<Item = (Tally, Tally)>) -> GateState {
    let mut state = GateState::new();
    for (canary, stable) in blocks {
        state.observe(&spec(test), canary, stable, BLOCK);
    }
    state
}

fn verdict(test: Test, blocks: impl IntoIterator<Item = (Tally, Tally)>) -> Verdict {
    after(test, blocks).verdict(&spec(test))
}

fn all_tests() -> [Test; 4] {
    [BELOW, Test::NoWorseThanStable, Test::BelowStablePlus { margin: 0.005 }, ABOVE_FOR]
}

#[test]
fn a_canary_that_keeps_its_limit_passes() {
    let verdict = verdict(BELOW, vec![(of(0, 150), of(30, 14_850)); 20]);
    assert_eq!(verdict.answer, Answer::Pass);
    assert_eq!(verdict.reason.to_string(), "0% of requests are bad, below the limit of 1%");
    assert!(verdict.numbers.upper.unwrap() < 0.01);
}

#[test]
fn a_canary_that_breaks_its_limit_fails_and_stays_failed() {
    let mut blocks = vec![(of(150, 150), of(30, 14_850)); 3];
    assert_eq!(verdict(BELOW, blocks.clone()).answer, Answer::Fail);
    blocks.extend(vec![(of(0, 150), of(30, 14_850)); 500]);
    let verdict = verdict(BELOW, blocks);
    assert_eq!(verdict.answer, Answer::Fail);
    assert_eq!(
        verdict.reason.to_string(),
        "100% of requests are bad, above the limit of 1%, while stable has 0.202%"
    );
}

/// Responses that break in their body are counted as failed when they break, which may be a
/// window after they were counted as requests.
#[test]
fn failures_that_are_counted_after_their_requests_fail_the_gate_too() {
    let mut blocks = vec![(of(0, 150), of(0, 14_850)); 4];
    blocks.extend(vec![(of(150, 0), of(0, 14_850)); 3]);
    let late = verdict(BELOW, blocks.clone());
    assert_eq!(late.answer, Answer::Fail, "{:?}", late.numbers);
    assert_eq!((late.numbers.bad, late.numbers.requests), (450, 1_050));
}

#[test]
fn one_block_of_total_failure_is_a_burst_and_no_verdict() {
    let verdict = verdict(BELOW, vec![(of(150, 150), of(30, 14_850))]);
    assert_eq!(verdict.answer, Answer::Hold);
    assert_eq!(verdict.reason, Reason::LastBlockAbove { rate: 1.0, limit: 0.01 });
}

#[test]
fn a_limit_that_stable_breaks_too_is_not_the_canarys_fault() {
    let mut blocks = vec![(of(8, 150), of(742, 14_850)); 200];
    blocks.push((of(0, 150), of(742, 14_850)));
    let verdict = verdict(BELOW, blocks);
    assert_eq!(verdict.answer, Answer::Hold);
    assert!(matches!(verdict.reason, Reason::SharedWithStable { .. }), "{}", verdict.reason);
}

#[test]
fn without_stable_the_limit_alone_decides_even_after_a_few_late_requests_to_it() {
    let mut blocks = vec![(of(0, 15_000), of(0, 4))];
    blocks.extend(vec![(of(750, 15_000), NOBODY); 8]);
    let verdict = verdict(BELOW, blocks);
    assert_eq!(verdict.answer, Answer::Fail, "{:?}", verdict.numbers);
}

#[test]
fn a_release_that_breaks_after_two_hours_fails_within_minutes() {
    let mut state = after(BELOW, vec![(of(0, 150), of(30, 14_850)); 240]);
    let blocks = (1..=10).find(|_| {
        state.observe(&spec(BELOW), of(150, 150), of(30, 14_850), BLOCK);
        state.verdict(&spec(BELOW)).answer == Answer::Fail
    });
    assert_eq!(blocks, Some(4));
}

#[test]
fn failures_in_bursts_weigh_less_than_the_same_failures_spread_out() {
    let spread = verdict(BELOW, vec![(of(1, 300), NOBODY); 40]);
    let bursts = verdict(BELOW, (0..40).map(|n| (of(if n == 20 { 40 } else { 0 }, 300), NOBODY)));
    assert_eq!((spread.numbers.bad, bursts.numbers.bad), (40, 40));
    assert_eq!((spread.answer, bursts.answer), (Answer::Pass, Answer::Hold));
    assert!(bursts.numbers.upper > spread.numbers.upper);
    assert!(bursts.numbers.lower < spread.numbers.lower);
}

#[test]
fn there_is_no_pass_without_what_it_takes() {
    for test in all_tests() {
        let said = |state: &GateState| {
            let verdict = state.verdict(&spec(test));
            assert_eq!(verdict.answer, Answer::Hold, "{test:?}");
            verdict.reason.to_string()
        };
        assert_eq!(said(&GateState::new()), "nothing has been observed yet");
        let idle = after(test, vec![(NOBODY, of(0, 1_000)); 50]);
        assert_eq!(said(&idle), "the canary has had no requests yet");
        let few = after(test, vec![(of(0, 3), of(0, 1_000)); 33]);
        assert_eq!(said(&few), "99 requests so far, 100 needed");
        let mut gone = after(test, vec![(of(0, 5_000), of(0, 50_000)); 50]);
        assert_eq!(gone.verdict(&spec(test)).answer, Answer::Pass, "{test:?}");
        gone.missing("the source is down");
        assert_eq!(said(&gone), "nothing is known of the last block: the source is down");
        gone.observe(&spec(test), of(0, 5_000), of(0, 50_000), BLOCK);
        assert_eq!(gone.verdict(&spec(test)).answer, Answer::Pass, "{test:?}");
    }
}

#[test]
fn there_is_no_pass_on_two_blocks_however_large() {
    let two = verdict(BELOW, vec![(of(0, 100_000), NOBODY); 2]);
    assert_eq!(two.reason, Reason::TooFewBlocks { blocks: 2, needed: 3 });
}

#[test]
fn there_is_no_pass_while_the_last_block_was_above_the_limit() {
    let mut blocks = vec![(of(0, 150), of(30, 14_850)); 200];
    blocks.push((of(2, 150), of(30, 14_850)));
    let last = verdict(BELOW, blocks.clone());
    assert_eq!(last.answer, Answer::Hold);
    assert!(last.numbers.pass_evidence > last.numbers.pass_needed);
    blocks.push((NOBODY, of(30, 14_850)));
    assert_eq!(verdict(BELOW, blocks.clone()).answer, Answer::Hold, "a quiet block clears nothing");
    blocks.push((of(0, 150), of(30, 14_850)));
    assert_eq!(verdict(BELOW, blocks).answer, Answer::Pass);
}

#[test]
fn comparisons_hold_without_stable_traffic() {
    for test in [Test::NoWorseThanStable, Test::BelowStablePlus { margin: 0.005 }] {
        let verdict = verdict(test, vec![(of(0, 15_000), NOBODY); 50]);
        assert_eq!((verdict.answer, verdict.reason), (Answer::Hold, Reason::NoStable));
    }
}

#[test]
fn a_canary_as_good_as_stable_passes_and_one_three_times_as_bad_fails() {
    let test = Test::NoWorseThanStable;
    let alike = verdict(test, (0..40).map(|n| (of(14 + n % 3, 1_500), of(150, 15_000))));
    assert_eq!(alike.answer, Answer::Pass, "{:?}", alike.numbers);
    let worse = verdict(test, (0..40).map(|n| (of(44 + n % 3, 1_500), of(150, 15_000))));
    assert_eq!(worse.answer, Answer::Fail, "{:?}", worse.numbers);
    let little = verdict(test, (0..6).map(|n| (of(18 + n % 3, 1_500), of(150, 15_000))));
    assert_eq!(little.answer, Answer::Hold, "{:?}", little.numbers);
}

#[test]
fn a_canary_without_any_failure_is_no_worse_than_a_stable_without_any() {
    let verdict = verdict(Test::NoWorseThanStable, vec![(of(0, 150), of(0, 14_850)); 40]);
    assert_eq!(verdict.answer, Answer::Pass, "{:?}", verdict.numbers);
}

#[test]
fn a_margin_over_stable_is_told_from_both_sides() {
    let test = Test::BelowStablePlus { margin: 0.01 };
    let shares = [15, 30, 90].map(|bad| {
        verdict(test, (0..40).map(|n| (of(bad - 1 + n % 3, 1_500), of(149 + n % 3, 15_000)))).answer
    });
    assert_eq!(shares, [Answer::Pass, Answer::Hold, Answer::Fail]);
}

#[test]
fn a_threshold_fails_after_its_time_without_a_break_and_recovers() {
    let (above, below) = ((of(20, 150), NOBODY), (of(15, 150), NOBODY));
    let answers = |blocks: Vec<(Tally, Tally)>| {
        let verdict = verdict(ABOVE_FOR, blocks);
        (verdict.answer, verdict.reason.to_string())
    };
    let (answer, reason) = answers(vec![above; 3]);
    assert_eq!((answer, reason.as_str()), (Answer::Hold, "above 10% for 1m 30s, fails after 2m"));
    let (answer, reason) = answers(vec![above; 4]);
    assert_eq!((answer, reason.as_str()), (Answer::Fail, "above 10% for 2m without a break"));
    assert_eq!(answers(vec![above, above, above, (NOBODY, NOBODY), above]).0, Answer::Hold);
    let (answer, reason) = answers(vec![above, above, above, above, below]);
    assert_eq!(
        (answer, reason.as_str()),
        (Answer::Pass, "10% of requests in the last block, not above 10%")
    );
}

#[test]
fn a_missing_block_breaks_a_run_above_a_threshold() {
    let mut state = after(ABOVE_FOR, vec![(of(20, 150), NOBODY); 3]);
    state.missing("no answer");
    state.observe(&spec(ABOVE_FOR), of(20, 150), NOBODY, BLOCK);
    assert_eq!(state.verdict(&spec(ABOVE_FOR)).answer, Answer::Hold);
}

#[test]
fn fine_odds_serve_latency_gates_whose_limit_is_large() {
    let lower = |quantile: f64, limit: f64, bad: u64| {
        let mut spec = spec(Test::Below { limit });
        spec.metric = Metric::Latency { quantile, limit_us: 200_000 };
        let mut state = GateState::new();
        for _ in 0..10 {
            state.observe(&spec, of(bad, 1_000), NOBODY, BLOCK);
        }
        (state.verdict(&spec).numbers.lower, {
            spec.metric = Metric::ErrorRate;
            state.verdict(&spec).numbers.lower
        })
    };
    let (median, as_errors) = lower(0.5, 0.5, 540);
    assert!(median > as_errors);
    let (tail, as_errors) = lower(0.99, 0.01, 12);
    assert_eq!(tail, as_errors);
}

fn tally() -> impl Strategy<Value = Tally> {
    prop_oneof![
        Just(NOBODY),
        (0_u64..2_000, 0_u64..2_000).prop_map(|(bad, total)| of(bad.min(total), total)),
        (0_u64..4).prop_map(|bad| of(bad, 1_500)),
        (0_u64..=u64::MAX, 0_u64..=u64::MAX).prop_map(|(bad, total)| of(bad, total)),
    ]
}

proptest! {
    #[test]
    fn whatever_is_counted_numbers_stay_finite_and_a_pass_has_what_it_takes(
        which in 0_usize..4,
        blocks in prop::collection::vec((tally(), tally(), any::<bool>()), 0..40),
    ) {
        let spec = spec(all_tests()[which]);
        let mut state = GateState::new();
        let mut failed = false;
        for (canary, stable, missing) in blocks {
            if missing { state.missing("gone") } else { state.observe(&spec, canary, stable, BLOCK) }
            let verdict = state.verdict(&spec);
            let numbers = verdict.numbers;
            let all = [
                numbers.rate, numbers.lower, numbers.upper, numbers.limit, numbers.stable_rate,
                Some(numbers.evidence), Some(numbers.evidence_needed),
                Some(numbers.pass_evidence), Some(numbers.pass_needed),
            ];
            prop_assert!(all.into_iter().flatten().all(f64::is_finite), "{numbers:?}");
            if verdict.answer == Answer::Pass {
                prop_assert!(!missing);
                prop_assert!(numbers.requests >= spec.min_requests && numbers.blocks > 0);
            }
            prop_assert!(which == 3 || !failed || verdict.answer == Answer::Fail, "a fail stays");
            failed = verdict.answer == Answer::Fail;
            prop_assert!(!verdict.reason.to_string().is_empty());
            let stored = serde_json::to_string(&(&state, &verdict)).unwrap();
            prop_assert_eq!((state.clone(), verdict), serde_json::from_str(&stored).unwrap());
        }
    }
}
