//! What every database promises, asked of every database.

use rollout::units::Timestamp;
use store::anchor::Anchoring;
use store::chain::{self, GENESIS, Tail};
use store::lease::{LeaseError, LostLease};
use store::log::{AppendError, Log, Request};
use store::memory::MemoryLog;
use store::outbox::{DeliveryState, Outcome, SettleError};
use store::sqlite::SqliteLog;

use crate::support::{NOW, TTL, append, entry, fill, lead, owing};

/// An empty database and the processes that use it.
trait Backend {
    fn connect(&self) -> Box<dyn Log>;
}

struct Sqlite(tempfile::TempDir);

impl Sqlite {
    fn start() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Backend for Sqlite {
    fn connect(&self) -> Box<dyn Log> {
        Box::new(SqliteLog::open(&self.0.path().join("log.db")).unwrap())
    }
}

struct Memory(MemoryLog);

impl Memory {
    fn start() -> Self {
        Self(MemoryLog::new())
    }
}

impl Backend for Memory {
    fn connect(&self) -> Box<dyn Log> {
        Box::new(self.0.connect())
    }
}

/// Every test of the contract, once per backend.
macro_rules! contract {
    ($($test:ident)*) => {
        mod sqlite { $(#[test] fn $test() { super::$test(&super::Sqlite::start()); })* }
        mod memory { $(#[test] fn $test() { super::$test(&super::Memory::start()); })* }
    };
}

contract! {
    an_empty_log_has_no_events_and_is_whole
    events_come_back_as_they_were_given
    positions_run_through_all_rollouts_without_gaps
    a_writer_that_missed_an_event_is_refused
    of_two_appends_for_one_place_in_one_commit_the_second_is_refused
    a_refused_append_leaves_nothing_behind_and_others_alone
    malformed_appends_are_refused
    pages_of_the_log_follow_each_other
    what_was_acknowledged_is_there_for_the_next_process
    the_chain_of_a_busy_log_verifies
    a_second_controller_is_refused_and_told_who_leads
    a_dead_holder_is_replaced_at_once_in_a_new_epoch
    renewing_keeps_the_epoch
    a_released_lease_is_void_and_free
    an_overtaken_lease_can_do_nothing
    deliveries_are_stored_with_the_event_that_owes_them
    a_delivery_key_is_owed_once
    a_delivery_is_retried_until_it_is_done
    a_dead_delivery_stays_dead
    pending_deliveries_come_in_the_order_they_were_owed
    settling_what_nobody_owes_is_refused
    notes_are_kept_replaced_listed_and_forgotten
    the_anchor_follows_the_log
}

fn an_empty_log_has_no_events_and_is_whole(backend: &dyn Backend) {
    let reader = backend.connect().reader();
    assert_eq!(reader.tail(), Ok(Tail::EMPTY));
    assert_eq!(reader.all(0, 10), Ok(vec![]));
    assert_eq!(reader.events("a", 0), Ok(vec![]));
    assert_eq!(reader.rollouts(), Ok(vec![]));
    assert_eq!(reader.held(), Ok(None));
    assert_eq!(reader.pending(0, 1), Ok(vec![]));
    let audit = chain::verify(&*reader).unwrap();
    assert!(audit.is_whole(), "{audit:?}");
}

fn events_come_back_as_they_were_given(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    let mut odd = entry("created");
    odd.body = " {\"b\":1, \"a\":\"\u{1f680} \\u0000\",\n\"a\":1e400}".into();
    let appended =
        log.append(&lease, append("a:b", 0, vec![odd.clone(), entry("started")])).unwrap();
    let records = log.reader().events("a:b", 0).unwrap();
    let [first, second] = records.as_slice() else {
        panic!("{records:?}");
    };
    assert_eq!((&first.kind, &first.body), (&odd.kind, &odd.body));
    assert_eq!((first.position, first.seq), (1, 1));
    assert_eq!((second.position, second.seq), (2, 2));
    assert_eq!((first.epoch, first.at), (lease.epoch(), NOW));
    assert_eq!(first.hash, chain::link(GENESIS, first));
    assert_eq!(second.hash, chain::link(first.hash, second));
    assert_eq!((appended.seq, appended.tail.position), (2, 2));
    assert_eq!(appended.tail.hash, second.hash);
    assert_eq!(log.reader().events("a:b", 1).unwrap(), records[1..]);
}

fn positions_run_through_all_rollouts_without_gaps(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    for (rollout, expected) in [("b", 0), ("a", 0), ("b", 1), ("c", 0), ("b", 2)] {
        let events = append(rollout, expected, vec![entry("started")]);
        log.append(&lease, events).unwrap();
    }
    let records = log.reader().all(0, 100).unwrap();
    let places: Vec<_> =
        records.iter().map(|it| (it.position, it.rollout.as_str(), it.seq)).collect();
    assert_eq!(places, [(1, "b", 1), (2, "a", 1), (3, "b", 2), (4, "c", 1), (5, "b", 3)]);
    assert_eq!(log.reader().rollouts().unwrap(), ["a", "b", "c"]);
}

fn a_writer_that_missed_an_event_is_refused(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    fill(&mut *log, &lease, 0, 2);
    for expected in [0, 1, 3, u64::MAX] {
        let refused = log.append(&lease, append("a", expected, vec![entry("late")]));
        let conflict = AppendError::Conflict { rollout: "a".into(), expected, found: 2 };
        assert_eq!(refused, Err(conflict));
    }
    assert_eq!(log.reader().tail().unwrap().position, 2);
}

fn of_two_appends_for_one_place_in_one_commit_the_second_is_refused(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    let request =
        |kind| Request { lease: lease.clone(), append: append("a", 0, vec![entry(kind)]) };
    let answers = log.append_all(&[request("one"), request("two")]);
    assert!(answers[0].is_ok());
    let conflict = AppendError::Conflict { rollout: "a".into(), expected: 0, found: 1 };
    assert_eq!(answers[1], Err(conflict));
    assert_eq!(log.reader().all(0, 10).unwrap().len(), 1);
}

fn a_refused_append_leaves_nothing_behind_and_others_alone(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    let request = |rollout, expected, entry| Request {
        lease: lease.clone(),
        append: append(rollout, expected, vec![entry]),
    };
    let answers = log.append_all(&[
        request("a", 0, owing(&["a:1:0"])),
        request("b", 7, owing(&["b:8:0"])),
        request("c", 0, owing(&["a:1:0"])),
        request("d", 0, owing(&["d:1:0"])),
    ]);
    let ok: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, false, false, true]);
    assert_eq!(log.reader().rollouts().unwrap(), ["a", "d"]);
    let due = log.reader().pending(0, 10).unwrap();
    let keys: Vec<_> = due.iter().map(|it| it.key.as_str()).collect();
    assert_eq!(keys, ["a:1:0", "d:1:0"]);
    assert!(chain::verify(&*log.reader()).unwrap().broken.is_none());
}

fn malformed_appends_are_refused(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    let cases = [
        (append("", 0, vec![entry("x")]), "the rollout has no name"),
        (append("a", 0, vec![]), "no events were given"),
        (append("a", 0, vec![entry("")]), "an event has no kind"),
    ];
    for (append, why) in cases {
        let refused = log.append(&lease, append);
        assert_eq!(refused, Err(AppendError::Invalid(why.into())));
    }
    assert_eq!(log.reader().tail(), Ok(Tail::EMPTY));
}

fn pages_of_the_log_follow_each_other(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    fill(&mut *log, &lease, 0, 5);
    let reader = log.reader();
    let page = |after| {
        let records = reader.all(after, 2).unwrap();
        records.iter().map(|it| it.position).collect::<Vec<_>>()
    };
    assert_eq!(page(0), [1, 2]);
    assert_eq!(page(2), [3, 4]);
    assert_eq!(page(4), [5]);
    assert!(page(5).is_empty());
    assert!(page(u64::MAX).is_empty());
}

fn what_was_acknowledged_is_there_for_the_next_process(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    fill(&mut *log, &lease, 0, 3);
    log.put("child/1", "42").unwrap();
    let before = log.reader().all(0, 10).unwrap();
    drop(log);
    let mut log = backend.connect();
    assert_eq!(log.reader().all(0, 10).unwrap(), before);
    assert_eq!(log.reader().note("child/1").unwrap().unwrap(), "42");
    let lease = lead(&mut *log);
    fill(&mut *log, &lease, 3, 1);
    assert_eq!(log.reader().tail().unwrap().position, 4);
}

fn the_chain_of_a_busy_log_verifies(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    let batch = |rollout: &str, seq| Request {
        lease: lease.clone(),
        append: append(rollout, seq, vec![entry("x"), entry("y")]),
    };
    for round in 0..350 {
        let requests = [batch("a", round * 2), batch("b", round * 2)];
        assert!(log.append_all(&requests).iter().all(Result::is_ok));
    }
    let reader = log.reader();
    let audit = chain::verify(&*reader).unwrap();
    assert_eq!((audit.broken, audit.tail), (None, reader.tail().unwrap()));
    assert_eq!(audit.tail.position, 1_400, "more than one page");
}

fn a_second_controller_is_refused_and_told_who_leads(backend: &dyn Backend) {
    let (mut first, mut second) = (backend.connect(), backend.connect());
    let lease = lead(&mut *first);
    let refused = second.acquire("second", TTL, NOW).unwrap_err();
    let LeaseError::Held { held } = refused else {
        panic!("{refused}");
    };
    assert_eq!((held.holder.as_str(), held.epoch), ("first", lease.epoch()));
    assert_eq!(held.until, NOW.plus(TTL));
    assert_eq!(second.reader().held().unwrap(), Some(held));
    fill(&mut *first, &lease, 0, 1);
}

fn a_dead_holder_is_replaced_at_once_in_a_new_epoch(backend: &dyn Backend) {
    let (mut first, mut second) = (backend.connect(), backend.connect());
    let old = lead(&mut *first);
    drop(first);
    let new = second.acquire("second", TTL, NOW).unwrap();
    assert!(new.epoch() > old.epoch());
    let refused = second.append(&old, append("a", 0, vec![entry("ghost")]));
    let lost = LostLease { held: old.epoch(), found: new.epoch() };
    assert_eq!(refused, Err(AppendError::LostLease(lost)));
    fill(&mut *second, &new, 0, 1);
}

fn renewing_keeps_the_epoch(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    let later = Timestamp(NOW.0 + 5_000);
    let renewed = log.renew(&lease, TTL, later).unwrap();
    assert_eq!(renewed.epoch(), lease.epoch());
    assert_eq!(renewed.until(), later.plus(TTL));
    let held = log.reader().held().unwrap().unwrap();
    assert_eq!(held.until, renewed.until());
    fill(&mut *log, &lease, 0, 1);
}

fn a_released_lease_is_void_and_free(backend: &dyn Backend) {
    let (mut first, mut second) = (backend.connect(), backend.connect());
    let lease = lead(&mut *first);
    first.release(&lease).unwrap();
    assert_eq!(first.reader().held(), Ok(None));
    let refused = first.append(&lease, append("a", 0, vec![entry("late")]));
    assert!(matches!(refused, Err(AppendError::LostLease(_))), "{refused:?}");
    let new = second.acquire("second", TTL, NOW).unwrap();
    assert!(new.epoch() > lease.epoch());
}

fn an_overtaken_lease_can_do_nothing(backend: &dyn Backend) {
    let mut log = backend.connect();
    let old = lead(&mut *log);
    log.append(&old, append("a", 0, vec![owing(&["a:1:0"])])).unwrap();
    let new = lead(&mut *log);
    let lost = LostLease { held: old.epoch(), found: new.epoch() };
    let late = append("a", 1, vec![entry("late")]);
    assert_eq!(log.append(&old, late), Err(lost.into()));
    assert_eq!(log.renew(&old, TTL, NOW), Err(lost.into()));
    assert_eq!(log.release(&old), Err(lost.into()));
    assert_eq!(log.accept(&old), Err(lost.into()));
    let settled = log.settle(&old, "a:1:0", &Outcome::Done, NOW);
    assert_eq!(settled, Err(lost.into()));
    assert_eq!(log.reader().tail().unwrap().position, 1);
    assert_eq!(log.reader().pending(0, 10).unwrap().len(), 1);
}

fn deliveries_are_stored_with_the_event_that_owes_them(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    let entries = vec![entry("created"), owing(&["a:2:0", "a:2:1"])];
    log.append(&lease, append("a", 0, entries)).unwrap();
    log.append(&lease, append("b", 0, vec![owing(&["b:1:0"])])).unwrap();
    let owed = log.reader().deliveries("a").unwrap();
    let [first, second] = owed.as_slice() else {
        panic!("{owed:?}");
    };
    assert_eq!((first.key.as_str(), second.key.as_str()), ("a:2:0", "a:2:1"));
    assert_eq!((first.rollout.as_str(), first.seq), ("a", 2));
    assert_eq!(first.receiver, "slack");
    assert_eq!(first.body, "{\"about\":\"a:2:0\"}");
    assert_eq!((first.owed_at, first.attempts), (NOW, 0));
    let pending = DeliveryState::Pending { next_at: NOW, reason: None };
    assert_eq!(first.state, pending);
}

fn a_delivery_key_is_owed_once(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    let twice = append("a", 0, vec![owing(&["a:1:0"]), owing(&["a:1:0"])]);
    let why = AppendError::Invalid("the delivery a:1:0 is owed already".into());
    assert_eq!(log.append(&lease, twice), Err(why.clone()));
    log.append(&lease, append("a", 0, vec![owing(&["a:1:0"])])).unwrap();
    let again = append("a", 1, vec![owing(&["a:1:0"])]);
    assert_eq!(log.append(&lease, again), Err(why));
    assert_eq!(log.reader().tail().unwrap().position, 1);
}

fn a_delivery_is_retried_until_it_is_done(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    log.append(&lease, append("a", 0, vec![owing(&["a:1:0"])])).unwrap();
    let later = Timestamp(NOW.0 + 60_000);
    let retry = Outcome::Retry { next_at: later, reason: "status 503".into() };
    log.settle(&lease, "a:1:0", &retry, NOW).unwrap();
    let reader = log.reader();
    let pending = reader.pending(0, 10).unwrap();
    let waiting = DeliveryState::Pending { next_at: later, reason: Some("status 503".into()) };
    assert_eq!((pending[0].attempts, &pending[0].state), (1, &waiting));
    log.settle(&lease, "a:1:0", &Outcome::Done, later).unwrap();
    assert_eq!(reader.pending(0, 10), Ok(vec![]));
    let done = &reader.deliveries("a").unwrap()[0];
    assert_eq!(done.attempts, 2);
    assert_eq!(done.state, DeliveryState::Done { at: later });
}

fn a_dead_delivery_stays_dead(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    log.append(&lease, append("a", 0, vec![owing(&["a:1:0"])])).unwrap();
    let dead = Outcome::Dead { reason: "status 410".into() };
    log.settle(&lease, "a:1:0", &dead, NOW).unwrap();
    let state = DeliveryState::Dead { at: NOW, reason: "status 410".into() };
    let refused = log.settle(&lease, "a:1:0", &Outcome::Done, NOW);
    let settled = SettleError::Settled { key: "a:1:0".into(), state: state.clone() };
    assert_eq!(refused, Err(settled));
    let stands = &log.reader().deliveries("a").unwrap()[0];
    assert_eq!((stands.attempts, &stands.state), (1, &state));
    assert!(log.reader().pending(0, 10).unwrap().is_empty());
}

fn pending_deliveries_come_in_the_order_they_were_owed(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    let keys = ["a:1:0", "a:1:1", "a:1:2"];
    log.append(&lease, append("a", 0, vec![owing(&keys)])).unwrap();
    log.append(&lease, append("b", 0, vec![owing(&["b:1:0"])])).unwrap();
    let retry = Outcome::Retry { next_at: Timestamp(NOW.0 - 10), reason: "status 503".into() };
    log.settle(&lease, "a:1:2", &retry, NOW).unwrap();
    log.settle(&lease, "a:1:1", &Outcome::Done, NOW).unwrap();
    let read = |after, limit| log.reader().pending(after, limit).unwrap();
    let keys =
        |after, limit| -> Vec<String> { read(after, limit).into_iter().map(|it| it.key).collect() };
    assert_eq!(keys(0, 10), ["a:1:0", "a:1:2", "b:1:0"]);
    assert_eq!(keys(0, 2), ["a:1:0", "a:1:2"]);
    let first = read(0, 1)[0].number;
    assert_eq!(keys(first, 10), ["a:1:2", "b:1:0"]);
    assert_eq!(keys(u64::MAX, 10), [""; 0]);
}

fn settling_what_nobody_owes_is_refused(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    let refused = log.settle(&lease, "a:1:0", &Outcome::Done, NOW);
    let key = "a:1:0".into();
    assert_eq!(refused, Err(SettleError::NotOwed { key }));
}

fn notes_are_kept_replaced_listed_and_forgotten(backend: &dyn Backend) {
    let mut log = backend.connect();
    for (key, value) in [("child/b", "1"), ("child/a", "2"), ("childless", "3"), ("child/b", "4")] {
        log.put(key, value).unwrap();
    }
    let reader = log.reader();
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let children = [pair("child/a", "2"), pair("child/b", "4")];
    assert_eq!(reader.notes("child/").unwrap(), children);
    assert_eq!(reader.notes("").unwrap().len(), 3);
    log.delete("child/a").unwrap();
    log.delete("child/a").unwrap();
    assert_eq!(reader.note("child/a"), Ok(None));
    assert_eq!(reader.note("child/b"), Ok(Some("4".into())));
    assert_eq!(reader.tail(), Ok(Tail::EMPTY), "notes are not in the chain");
}

fn the_anchor_follows_the_log(backend: &dyn Backend) {
    let mut log = backend.connect();
    let lease = lead(&mut *log);
    fill(&mut *log, &lease, 0, 3);
    assert_eq!(log.reader().anchoring(), Ok(Anchoring::Whole), "it may trail");
    assert_eq!(log.anchor(), Ok(Anchoring::Whole));
    assert_eq!(log.anchor(), Ok(Anchoring::Whole));
    fill(&mut *log, &lease, 3, 1);
    assert_eq!(log.accept(&lease), log.reader().tail().map_err(Into::into));
    assert!(chain::verify(&*log.reader()).unwrap().is_whole());
}
