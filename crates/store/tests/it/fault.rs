//! The faults the log in memory makes on request, and the lease there.

use rollout::units::Timestamp;
use store::anchor::Anchoring;
use store::chain;
use store::lease::LeaseError;
use store::log::{AppendError, Failure, Log};
use store::memory::{Fault, MemoryLog};

use crate::support::{NOW, TTL, append, entry, fill, lead};

fn append_with(fault: Fault) -> (MemoryLog, AppendError) {
    let mut log = MemoryLog::new();
    let lease = lead(&mut log);
    log.fail_next(fault);
    let failed = log.append(&lease, append("a", 0, vec![entry("x")]));
    (log, failed.unwrap_err())
}

#[test]
fn an_unavailable_write_did_not_happen_and_says_so() {
    let (log, error) = append_with(Fault::Unavailable);
    assert!(matches!(error, AppendError::Failed(Failure::Unavailable(_))));
    assert_eq!(log.reader().tail().unwrap().position, 0);
}

#[test]
fn an_unknown_write_looks_the_same_whether_it_happened_or_not() {
    let (before, error_before) = append_with(Fault::UnknownBefore);
    let (after, error_after) = append_with(Fault::UnknownAfter);
    assert!(matches!(error_before, AppendError::Failed(Failure::Unknown(_))));
    assert_eq!(error_before, error_after);
    assert_eq!(before.reader().tail().unwrap().position, 0);
    assert_eq!(after.reader().tail().unwrap().position, 1);
}

#[test]
fn a_write_refused_in_any_case_says_why_even_when_the_connection_breaks() {
    let mut log = MemoryLog::new();
    let lease = lead(&mut log);
    log.fail_next(Fault::UnknownAfter);
    let settled = log.settle(&lease, "a:1:0", &store::outbox::Outcome::Done, NOW);
    assert!(matches!(settled, Err(store::outbox::SettleError::NotOwed { .. })));
}

#[test]
fn faults_come_in_the_order_asked_for_and_then_end() {
    let mut log = MemoryLog::new();
    log.fail_next(Fault::UnknownAfter);
    log.fail_next(Fault::Unavailable);
    assert!(matches!(log.put("a", "1"), Err(Failure::Unknown(_))));
    assert!(matches!(log.put("b", "1"), Err(Failure::Unavailable(_))));
    assert_eq!(log.put("c", "1"), Ok(()));
    let keys: Vec<_> = log.reader().notes("").unwrap();
    assert_eq!(keys.len(), 2, "{keys:?}");
}

#[test]
fn a_database_that_is_out_answers_nobody_and_comes_back_whole() {
    let mut log = MemoryLog::new();
    let lease = lead(&mut log);
    fill(&mut log, &lease, 0, 2);
    log.set_out(true);
    assert!(matches!(log.reader().tail(), Err(Failure::Unavailable(_))));
    assert!(matches!(log.put("a", "1"), Err(Failure::Unavailable(_))));
    log.set_out(false);
    assert_eq!(log.reader().tail().unwrap().position, 2);
}

#[test]
fn a_slow_holder_is_overtaken_when_its_lease_has_run_out() {
    let mut slow = MemoryLog::new();
    let mut other = slow.connect();
    let lease = lead(&mut slow);
    let just_before = Timestamp(lease.until().0 - 1);
    let refused = other.acquire("other", TTL, just_before);
    assert!(matches!(refused, Err(LeaseError::Held { .. })));
    let new = other.acquire("other", TTL, lease.until()).unwrap();
    assert_eq!(new.epoch(), lease.epoch() + 1);
    let late = slow.append(&lease, append("a", 0, vec![entry("late")]));
    assert!(matches!(late, Err(AppendError::LostLease(_))));
    drop(slow);
    let held = other.reader().held().unwrap().unwrap();
    assert_eq!(held.holder, "other", "the death of the old one frees nothing");
}

#[test]
fn a_lost_tail_is_noticed_kept_in_evidence_and_accepted_by_hand() {
    let mut log = MemoryLog::new();
    let lease = lead(&mut log);
    fill(&mut log, &lease, 0, 5);
    log.anchor().unwrap();
    log.lose_tail(2);
    let found = log.anchor().unwrap();
    assert!(
        matches!(&found, Anchoring::Truncated { anchor, found } if anchor.position == 5 && found.position == 3),
        "{found:?}"
    );
    let lease_again = lead(&mut log);
    let other = append("a", 3, vec![entry("x"), entry("y"), entry("z")]);
    log.append(&lease_again, other).unwrap();
    let found = log.anchor().unwrap();
    assert!(
        matches!(&found, Anchoring::Replaced { anchor, .. } if anchor.position == 5),
        "{found:?}"
    );
    log.accept(&lease_again).unwrap();
    assert!(chain::verify(&*log.reader()).unwrap().is_whole());
}
