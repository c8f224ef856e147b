//! The hash chain: every event carries a hash over the one before it and itself.
//!
//! `h(i) = SHA-256( h(i-1) || canonical(event i) )`, and `h(0)` is [`GENESIS`].
//!
//! `canonical` writes the columns in this order, so that no two different events give the same
//! bytes: position, rollout, seq, epoch, at, kind, body. Numbers are 8 bytes, most significant
//! first (`at` in two's complement); texts are their length in bytes as such a number, then their
//! bytes in UTF-8.
//!
//! The chain shows that an event was changed, removed or put in between. It cannot show that the
//! newest events were cut off: that is what the [`anchor`](crate::anchor) is for.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::anchor::Anchoring;
use crate::log::{Failure, Reader, Record};

/// A SHA-256 hash; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

/// What the first event is chained to: text, so that the chain of no other log starts with it.
pub const GENESIS: Hash = Hash(*b"sluice event log, first link 001");

/// The end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Position of the last event; 0 when there is none.
    pub position: u64,
    /// Its hash; [`GENESIS`] when there is none.
    pub hash: Hash,
}

impl Tail {
    /// The end of a log without events.
    pub const EMPTY: Self = Self { position: 0, hash: GENESIS };
}

/// The hash of `record` when it follows an event whose hash is `previous`. Does not look at
/// `record.hash`.
pub fn link(previous: Hash, record: &Record) -> Hash {
    let mut digest = Sha256::new();
    digest.update(previous.0);
    digest.update(record.position.to_be_bytes());
    text(&mut digest, &record.rollout);
    digest.update(record.seq.to_be_bytes());
    digest.update(record.epoch.to_be_bytes());
    digest.update(record.at.0.to_be_bytes());
    text(&mut digest, &record.kind);
    text(&mut digest, &record.body);
    Hash(digest.finalize().into())
}

fn text(digest: &mut Sha256, text: &str) {
    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
    digest.update(length.to_be_bytes());
    digest.update(text.as_bytes());
}

/// Where a chain breaks first, and how.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the log is broken at position {position}: {why}")]
pub struct Break {
    /// The first position that is not as it must be.
    pub position: u64,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Why {
    /// Events are missing.
    #[error("missing, the next event is at {found}")]
    Gap {
        /// The position found instead.
        found: u64,
    },
    /// A position appears twice.
    #[error("the position appears again")]
    Duplicate,
    /// The event or its hash was changed.
    #[error("the hash is {found}, the content gives {computed}")]
    Hash {
        /// The hash stored with the event.
        found: Hash,
        /// The hash its content gives.
        computed: Hash,
    },
    /// The events of a rollout do not count up by one.
    #[error("event {found} of rollout {rollout}, expected {expected}")]
    Sequence {
        /// The rollout.
        rollout: String,
        /// The `seq` that had to come.
        expected: u64,
        /// The `seq` that came.
        found: u64,
    },
    /// An older leader wrote after a newer one.
    #[error("the epoch fell from {from} to {found}")]
    Epoch {
        /// The epoch before.
        from: u64,
        /// The epoch found.
        found: u64,
    },
    /// The database could not give the event back.
    #[error("unreadable: {0}")]
    Unreadable(String),
}

/// A walk along a log, event by event, from the first.
#[derive(Clone, Debug)]
pub struct Walk {
    tail: Tail,
    epoch: u64,
    seqs: BTreeMap<String, u64>,
}

impl Default for Walk {
    fn default() -> Self {
        Self { tail: Tail::EMPTY, epoch: 0, seqs: BTreeMap::new() }
    }
}

impl Walk {
    /// The last event that was in order.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// Checks that `record` follows what was walked so far, and moves on to it.
    ///
    /// # Errors
    /// The break, when it does not follow; the walk then stays where it was.
    pub fn step(&mut self, record: &Record) -> Result<(), Break> {
        let expected = self.tail.position.saturating_add(1);
        let at = |position, why| Err(Break { position, why });
        if record.position < expected {
            return at(record.position, Why::Duplicate);
        }
        if record.position > expected {
            let found = record.position;
            return at(expected, Why::Gap { found });
        }
        let computed = link(self.tail.hash, record);
        if computed != record.hash {
            let found = record.hash;
            return at(expected, Why::Hash { found, computed });
        }
        self.order(record).or_else(|why| at(expected, why)).inspect(|()| self.advance(record))
    }

    fn order(&self, record: &Record) -> Result<(), Why> {
        if record.epoch < self.epoch {
            return Err(Why::Epoch { from: self.epoch, found: record.epoch });
        }
        let last = self.seqs.get(&record.rollout).copied().unwrap_or(0);
        let expected = last.saturating_add(1);
        if record.seq != expected {
            return Err(Why::Sequence {
                rollout: record.rollout.clone(),
                expected,
                found: record.seq,
            });
        }
        Ok(())
    }

    /// Moves on to `record`, whether it follows or not.
    pub(crate) fn advance(&mut self, record: &Record) {
        self.tail = record.end().tail;
        self.epoch = record.epoch;
        self.seqs.insert(record.rollout.clone(), record.seq);
    }
}

/// What a look at a whole log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The last event that is in order.
    pub tail: Tail,
    /// Where the chain breaks after it, if it does.
    pub broken: Option<Break>,
    /// Whether the log still holds what its anchor says.
    pub anchoring: Anchoring,
}

impl Audit {
    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.broken.is_none() && self.anchoring == Anchoring::Whole
    }
}

/// Events read at a time: bounds the memory of [`verify`].
const PAGE: u32 = 1_000;

/// Walks the whole log and compares it with its anchor.
///
/// # Errors
/// When the anchor cannot be compared. An event that cannot be read is a break, not an error.
pub fn verify(reader: &dyn Reader) -> Result<Audit, Failure> {
    let anchoring = reader.anchoring()?;
    let mut walk = Walk::default();
    let broken = walk_all(reader, &mut walk).err();
    Ok(Audit { tail: walk.tail(), broken, anchoring })
}

fn walk_all(reader: &dyn Reader, walk: &mut Walk) -> Result<(), Break> {
    loop {
        let page = page(reader, walk.tail().position)?;
        if page.is_empty() {
            return Ok(());
        }
        for record in &page {
            walk.step(record)?;
        }
    }
}

/// The next page; when it cannot be read, the events one at a time, to name the broken one.
fn page(reader: &dyn Reader, after: u64) -> Result<Vec<Record>, Break> {
    reader.all(after, PAGE).or_else(|_| reader.all(after, 1)).map_err(|failure| Break {
        position: after.saturating_add(1),
        why: Why::Unreadable(failure.to_string()),
    })
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("\"{text}\" is not a hash of 64 hexadecimal digits");
        let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
        let digits = digits.ok_or_else(bad)?;
        let bytes: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => u8::try_from((high << 4) | low).ok(),
                _ => None,
            })
            .collect();
        let bytes: Result<[u8; 32], _> = bytes.ok_or_else(bad)?.try_into();
        bytes.map(Self).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rollout::units::Timestamp;

    use super::*;

    fn record(position: u64, rollout: &str, seq: u64, previous: Hash) -> Record {
        let mut record = Record {
            position,
            rollout: rollout.into(),
            seq,
            epoch: 1,
            at: Timestamp(1_000),
            kind: "started".into(),
            body: "{}".into(),
            hash: GENESIS,
        };
        record.hash = link(previous, &record);
        record
    }

    fn three() -> Vec<Record> {
        let first = record(1, "a", 1, GENESIS);
        let second = record(2, "b", 1, first.hash);
        let third = record(3, "a", 2, second.hash);
        vec![first, second, third]
    }

    fn walk(records: &[Record]) -> Result<Tail, Break> {
        let mut walk = Walk::default();
        for record in records {
            walk.step(record)?;
        }
        Ok(walk.tail())
    }

    #[test]
    fn the_first_link_is_the_hash_of_the_documented_bytes() {
        let mut bytes = b"sluice event log, first link 001".to_vec();
        let numbers_and_texts: [&[u8]; 10] = [
            &1_u64.to_be_bytes(),
            &1_u64.to_be_bytes(),
            b"a",
            &1_u64.to_be_bytes(),
            &1_u64.to_be_bytes(),
            &1_000_i64.to_be_bytes(),
            &7_u64.to_be_bytes(),
            b"started",
            &2_u64.to_be_bytes(),
            b"{}",
        ];
        bytes.extend(numbers_and_texts.concat());
        let expected: [u8; 32] = Sha256::digest(&bytes).into();
        assert_eq!(record(1, "a", 1, GENESIS).hash, Hash(expected));
    }

    #[test]
    fn a_whole_log_is_walked_to_its_end() {
        let records = three();
        let end = Tail { position: 3, hash: records[2].hash };
        assert_eq!(walk(&records), Ok(end));
    }

    #[test]
    fn a_missing_event_is_a_gap_at_its_position() {
        let mut records = three();
        records.remove(1);
        let broken = walk(&records).unwrap_err();
        assert_eq!((broken.position, broken.why), (2, Why::Gap { found: 3 }));
    }

    #[test]
    fn a_repeated_event_is_a_duplicate() {
        let mut records = three();
        records.insert(2, records[1].clone());
        let broken = walk(&records).unwrap_err();
        assert_eq!((broken.position, broken.why), (2, Why::Duplicate));
    }

    #[test]
    fn a_rollout_that_skips_a_number_is_out_of_sequence() {
        let first = record(1, "a", 1, GENESIS);
        let broken = walk(&[first.clone(), record(2, "a", 3, first.hash)]).unwrap_err();
        let why = Why::Sequence { rollout: "a".into(), expected: 2, found: 3 };
        assert_eq!((broken.position, broken.why), (2, why));
    }

    #[test]
    fn an_epoch_that_falls_is_found() {
        let mut first = record(1, "a", 1, GENESIS);
        first.epoch = 2;
        first.hash = link(GENESIS, &first);
        let broken = walk(&[first.clone(), record(2, "a", 2, first.hash)]).unwrap_err();
        let why = Why::Epoch { from: 2, found: 1 };
        assert_eq!((broken.position, broken.why), (2, why));
    }

    #[test]
    fn text_that_is_no_hash_is_refused() {
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(66)] {
            assert!(text.parse::<Hash>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_hash_survives_being_written_and_read(bytes: [u8; 32]) {
            prop_assert_eq!(Hash(bytes).to_string().parse(), Ok(Hash(bytes)));
        }

        #[test]
        fn moving_bytes_between_neighbouring_texts_changes_the_hash(kind in "[a-z]{1,8}", body in "[a-z]{1,8}") {
            let mut one = record(1, "a", 1, GENESIS);
            let mut other = one.clone();
            let joined = format!("{kind}{body}");
            (one.kind, one.body) = (kind, body);
            (other.kind, other.body) = (joined, String::new());
            prop_assert_ne!(link(GENESIS, &one), link(GENESIS, &other));
        }

        #[test]
        fn changing_any_column_breaks_the_walk_there(at in 0_usize..3, column in 0_usize..4, change in 1_u64..1_000) {
            let mut records = three();
            let record = &mut records[at];
            match column {
                0 => record.epoch += change,
                1 => record.at = Timestamp(record.at.0 + i64::try_from(change).unwrap()),
                2 => record.kind.push('x'),
                _ => record.body.push(' '),
            }
            let broken = walk(&records).unwrap_err();
            prop_assert_eq!(broken.position, at as u64 + 1);
            let is_hash = matches!(broken.why, Why::Hash { .. });
            prop_assert!(is_hash);
        }
    }
}
