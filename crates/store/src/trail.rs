//! A walk along a log that goes on past a break.
//!
//! Whoever replays a log wants to know whether its chain holds, and has to go on where it does
//! not: the way back must work from a damaged log too. An operator who has looked may accept what
//! is there. What is accepted is a position and the hash a chain over the *content* up to it has,
//! whatever hashes are stored beside it; so a later change to what was accepted is found again.

use crate::chain::{Break, Tail, Walk, link};
use crate::log::{Failure, Reader, Record};

/// Events read at a time: bounds the memory of [`Trail::follow`].
const PAGE: u32 = 1_000;

/// Where such a walk is, and what it found.
#[derive(Clone, Debug)]
pub struct Trail {
    walk: Walk,
    content: Tail,
    broken: Option<Break>,
    accepted: Vec<Tail>,
}

impl Trail {
    /// Before the first event; `accepted` is what operators have accepted.
    pub fn new(accepted: Vec<Tail>) -> Self {
        Self { walk: Walk::default(), content: Tail::EMPTY, broken: None, accepted }
    }

    /// The trail of the whole log behind `reader`.
    ///
    /// # Errors
    /// When events cannot be read.
    pub fn follow(reader: &dyn Reader, accepted: Vec<Tail>) -> Result<Self, Failure> {
        let mut trail = Self::new(accepted);
        loop {
            let page = reader.all(trail.content.position, PAGE)?;
            if page.is_empty() {
                return Ok(trail);
            }
            for record in &page {
                trail.take(record);
            }
        }
    }

    /// Walks on to `record`, whether it follows or not.
    pub fn take(&mut self, record: &Record) {
        if let Err(found) = self.walk.step(record) {
            self.walk.advance(record);
            self.broken.get_or_insert(found);
        }
        self.content = Tail { position: record.position, hash: link(self.content.hash, record) };
        if self.accepted.contains(&self.content) {
            self.broken = None;
        }
    }

    /// Where the chain breaks first, but for what was accepted.
    pub fn broken(&self) -> Option<&Break> {
        self.broken.as_ref()
    }

    /// Where it is, with the hash of a chain over the content alone: what can be accepted.
    pub fn content(&self) -> Tail {
        self.content
    }
}

#[cfg(test)]
mod tests {
    use rollout::units::Timestamp;

    use super::*;
    use crate::chain::{GENESIS, Why};

    /// Five events of one rollout, chained.
    fn five() -> Vec<Record> {
        let mut previous = GENESIS;
        (1..=5)
            .map(|position| {
                let mut record = Record {
                    position,
                    rollout: "a".into(),
                    seq: position,
                    epoch: 1,
                    at: Timestamp(1_000),
                    kind: "counted".into(),
                    body: "{}".into(),
                    hash: GENESIS,
                };
                record.hash = link(previous, &record);
                previous = record.hash;
                record
            })
            .collect()
    }

    fn trail(records: &[Record], accepted: &[Tail]) -> Trail {
        let mut trail = Trail::new(accepted.to_vec());
        for record in records {
            trail.take(record);
        }
        trail
    }

    #[test]
    fn the_content_of_a_whole_log_has_the_hash_of_its_chain() {
        let records = five();
        let trail = trail(&records, &[]);
        assert_eq!((trail.broken(), trail.content()), (None, records[4].end().tail));
    }

    #[test]
    fn the_first_break_is_told_and_the_walk_goes_on() {
        let mut records = five();
        records[1].body = "{\"changed\":1}".into();
        records[3].body = "{\"changed\":2}".into();
        let trail = trail(&records, &[]);
        assert_eq!(trail.broken().map(|broken| broken.position), Some(2));
        assert_eq!(trail.content().position, 5);
    }

    #[test]
    fn what_was_accepted_is_forgiven_and_nothing_that_changed_since() {
        let mut records = five();
        records[1].body = "{\"changed\":1}".into();
        let accepted = trail(&records[..4], &[]).content();
        assert_eq!(trail(&records, &[accepted]).broken(), None);
        let mut later = records.clone();
        later[4].body = "{\"changed\":2}".into();
        assert_eq!(trail(&later, &[accepted]).broken().map(|broken| broken.position), Some(5));
        records[2].kind = "promoted".into();
        assert_eq!(trail(&records, &[accepted]).broken().map(|broken| broken.position), Some(2));
    }

    #[test]
    fn events_that_are_gone_break_it_once() {
        let mut records = five();
        records.remove(1);
        let found = trail(&records, &[]);
        assert_eq!(found.broken().map(|broken| &broken.why), Some(&Why::Gap { found: 3 }));
        assert_eq!(trail(&records, &[found.content()]).broken(), None);
    }
}
