//! What shuts a canary out, and what does not.

use rollout::evidence::TripSpec;
use rollout::units::Millis;

use super::*;

const GOOD: Fate = Fate { failed: false, over: 0 };
const FAILED: Fate = Fate { failed: true, over: 2 };

fn guard(bad: Bad) -> (Guard, Instant) {
    let spec = TripSpec {
        limit: 0.5,
        psi: 1.5,
        ln_threshold: 1000_f64.ln(),
        restart_every: Millis::from_secs(60),
        restarts: 10,
    };
    let now = Instant::now();
    let rule = TripRule { gate: "error_rate".to_owned(), bad, spec };
    (Guard::new("r1/1", &[rule], 2, now), now)
}

/// Buckets spread over the whole range, so that each is another user.
fn user(n: u32) -> u32 {
    n.wrapping_mul(0x9e37_79b9)
}

#[test]
fn twenty_users_who_all_fail_shut_the_gate() {
    let (guard, now) = guard(Bad::Failed);
    for n in 0..20 {
        guard.witness(0, Side::Canary, user(n), FAILED);
        guard.witness(1, Side::Stable, user(n), GOOD);
    }
    let fired = guard.look(now).expect("fires");
    assert_eq!(fired.numbers.canary, Tally { bad: 20, total: 20 });
    assert!(fired.third_failure_to_shut_us.is_some());
}

#[test]
fn one_user_in_a_retry_loop_is_one_witness_until_the_restart() {
    let (guard, now) = guard(Bad::Failed);
    for _ in 0..10_000 {
        guard.witness(0, Side::Canary, user(7), FAILED);
    }
    assert_eq!(guard.look(now), None);
    assert_eq!(guard.rules[0].canary.read(), Tally { bad: 1, total: 1 });
    assert_eq!(guard.look(now + Duration::from_secs(61)), None);
    guard.witness(0, Side::Canary, user(7), FAILED);
    assert_eq!(guard.rules[0].canary.read(), Tally { bad: 2, total: 2 });
}

#[test]
fn an_outage_that_hits_both_sides_shuts_nothing() {
    let (guard, now) = guard(Bad::Failed);
    for n in 0..5_000 {
        guard.witness(0, Side::Canary, user(n), FAILED);
        guard.witness(0, Side::Stable, user(n + 5_000), FAILED);
        if n % 10 == 0 {
            assert_eq!(guard.look(now), None);
        }
    }
}

#[test]
fn a_slow_answer_is_bad_only_for_a_rule_about_its_limit() {
    let (first, _) = guard(Bad::SlowerThan(0));
    let (second, _) = guard(Bad::SlowerThan(1));
    let slow = Fate { failed: false, over: 1 };
    first.witness(0, Side::Canary, 0, slow);
    second.witness(0, Side::Canary, 0, slow);
    assert_eq!(first.rules[0].canary.read(), Tally { bad: 1, total: 1 });
    assert_eq!(second.rules[0].canary.read(), Tally { bad: 0, total: 1 });
}

#[test]
fn a_body_that_breaks_late_adds_a_failure_and_no_request() {
    let (guard, _) = guard(Bad::Failed);
    guard.witness(0, Side::Canary, 9, GOOD);
    guard.witness_late(Side::Canary, 9, GOOD, FAILED);
    guard.witness_late(Side::Canary, 9, FAILED, FAILED);
    assert_eq!(guard.rules[0].canary.read(), Tally { bad: 1, total: 1 });
}
