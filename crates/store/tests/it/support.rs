//! What every test here needs.

use rollout::units::{Millis, Timestamp};
use store::lease::Lease;
use store::log::{Append, Entry, Log};
use store::outbox::Owed;

/// When the tests happen.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// How long their leases last.
pub(crate) const TTL: Millis = Millis(15_000);

/// An event of `kind` that owes nothing.
pub(crate) fn entry(kind: &str) -> Entry {
    Entry { kind: kind.into(), body: format!("{{\"kind\":\"{kind}\"}}"), owed: Vec::new() }
}

/// An event that owes a delivery under each of `keys`.
pub(crate) fn owing(keys: &[&str]) -> Entry {
    let owed = keys.iter().map(|key| Owed {
        key: (*key).into(),
        receiver: "slack".into(),
        body: format!("{{\"about\":\"{key}\"}}"),
    });
    Entry { owed: owed.collect(), ..entry("owing") }
}

/// Events for `rollout` by a writer that has seen `expected`.
pub(crate) fn append(rollout: &str, expected: u64, entries: Vec<Entry>) -> Append {
    Append { rollout: rollout.into(), expected, at: NOW, entries }
}

/// The lease of `log`, which nobody else holds.
pub(crate) fn lead(log: &mut dyn Log) -> Lease {
    log.acquire("first", TTL, NOW).unwrap()
}

/// Appends `count` events to the rollout "a", one by one, after `from` events.
pub(crate) fn fill(log: &mut dyn Log, lease: &Lease, from: u64, count: u64) {
    for seq in from..from + count {
        let entry = entry(&format!("event-{seq}"));
        log.append(lease, append("a", seq, vec![entry])).unwrap();
    }
}
