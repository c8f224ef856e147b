//! What became of copies: requests that stable answered, and whose copy went to the canary while
//! nobody was served by it.
//!
//! Who asked is answered by stable alone, so nothing in here is a request of a user's, and no
//! gate reads it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::histogram;

/// Most pairs of statuses that are told apart; of others only the sum is known.
pub const MAX_PAIRS: usize = 32;

/// Copies, counted for the release that got them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mirrored {
    /// Copies sent.
    pub sent: u64,
    /// Copies not sent, because too many were under way.
    pub dropped: u64,
    /// Copies whose answer could be compared with stable's; the others are under way, or one of
    /// both sides did not answer: the client went away, or a release left.
    pub compared: u64,
    /// Copies of those whose status was not stable's.
    pub different: u64,
    /// Which statuses those were: stable's, the copy's, how often. Ascending, each pair once, at
    /// most [`MAX_PAIRS`]. An answer that did not come is the 502 or 504 a client would have got.
    pub pairs: Vec<(u16, u16, u64)>,
    /// Latency of stable to the first byte in what was compared, sparse, in buckets of
    /// [`histogram`].
    pub stable_latency: Vec<(u16, u64)>,
    /// Latency of the copies in the same requests.
    pub copy_latency: Vec<(u16, u64)>,
}

/// Adds `more`, where there is something, to what there is.
pub fn merge(into: &mut Option<Box<Mirrored>>, more: Option<&Mirrored>) {
    if let Some(more) = more {
        into.get_or_insert_default().add(more);
    }
}

impl Mirrored {
    /// Whether nothing was counted.
    pub const fn is_none(&self) -> bool {
        self.sent == 0 && self.dropped == 0 && self.compared == 0
    }

    /// The latency in microseconds that a share `quantile` (0..1) of stable's answers stayed
    /// under, and of the copies'; `None` without any.
    pub fn quantiles_us(&self, quantile: f64) -> Option<[u64; 2]> {
        let stable = histogram::quantile_us(&self.stable_latency, quantile)?;
        Some([stable, histogram::quantile_us(&self.copy_latency, quantile)?])
    }

    /// Copies of those compared whose status differed, 0..=1; `None` without any.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people; counts stay below 2^53")]
    pub fn share_different(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.different as f64 / self.compared as f64)
    }

    /// Adds what was counted elsewhere, or in another window.
    pub fn add(&mut self, more: &Self) {
        self.sent = self.sent.saturating_add(more.sent);
        self.dropped = self.dropped.saturating_add(more.dropped);
        self.compared = self.compared.saturating_add(more.compared);
        self.different = self.different.saturating_add(more.different);
        for &(stable, copy, count) in &more.pairs {
            self.add_pair(stable, copy, count);
        }
        histogram::merge(&mut self.stable_latency, &more.stable_latency);
        histogram::merge(&mut self.copy_latency, &more.copy_latency);
    }

    /// So many more of a pair of statuses, where there is room for it.
    pub fn add_pair(&mut self, stable: u16, copy: u16, count: u64) {
        match self.pairs.binary_search_by_key(&(stable, copy), |&(one, two, _)| (one, two)) {
            Ok(at) => {
                if let Some(known) = self.pairs.get_mut(at) {
                    known.2 = known.2.saturating_add(count);
                }
            }
            Err(at) if self.pairs.len() < MAX_PAIRS && count > 0 => {
                self.pairs.insert(at, (stable, copy, count));
            }
            Err(_) => {}
        }
    }

    /// What came since `before`; nothing where less is counted now.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |pair: (u16, u16)| {
            let same = before.pairs.iter().find(|&&(one, two, _)| (one, two) == pair);
            same.map_or(0, |&(_, _, count)| count)
        };
        let pairs = self.pairs.iter().map(|&(stable, copy, count)| {
            (stable, copy, count.saturating_sub(earlier((stable, copy))))
        });
        Self {
            sent: self.sent.saturating_sub(before.sent),
            dropped: self.dropped.saturating_sub(before.dropped),
            compared: self.compared.saturating_sub(before.compared),
            different: self.different.saturating_sub(before.different),
            pairs: pairs.filter(|&(_, _, count)| count > 0).collect(),
            stable_latency: latency_since(&self.stable_latency, &before.stable_latency),
            copy_latency: latency_since(&self.copy_latency, &before.copy_latency),
        }
    }
}

/// What came into a sparse histogram since `before`.
fn latency_since(now: &[(u16, u64)], before: &[(u16, u64)]) -> Vec<(u16, u64)> {
    let earlier = |bucket: u16| {
        before.iter().find(|&&(known, _)| known == bucket).map_or(0, |&(_, count)| count)
    };
    let fresh = now.iter().map(|&(bucket, count)| (bucket, count.saturating_sub(earlier(bucket))));
    fresh.filter(|&(_, count)| count > 0).collect()
}

impl fmt::Display for Mirrored {
    /// `1200 copies, 12 dropped; 1 of 1187 compared differ: 1 x 200 became 500`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} copies", self.sent)?;
        if self.dropped > 0 {
            write!(f, ", {} dropped", self.dropped)?;
        }
        write!(f, "; {} of {} compared differ", self.different, self.compared)?;
        for (index, (stable, copy, count)) in self.pairs.iter().enumerate() {
            let before = if index == 0 { ": " } else { ", " };
            write!(f, "{before}{count} x {stable} became {copy}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrored(times: u64, pairs: &[(u16, u16, u64)]) -> Mirrored {
        Mirrored {
            sent: 5 * times,
            dropped: times,
            compared: 4 * times,
            different: 2 * times,
            pairs: pairs.to_vec(),
            stable_latency: vec![(3, 4 * times)],
            copy_latency: vec![(5, 4 * times)],
        }
    }

    #[test]
    fn what_came_between_two_readings_is_the_second_without_the_first() {
        let before = mirrored(1, &[(200, 500, 2)]);
        let now = mirrored(3, &[(200, 404, 1), (200, 500, 5)]);
        let since = now.since(&before);
        assert_eq!(since, mirrored(2, &[(200, 404, 1), (200, 500, 3)]));
        let mut sum = before;
        sum.add(&since);
        assert_eq!(sum, now);
        assert_eq!(now.since(&now), Mirrored::default());
    }

    #[test]
    fn what_became_of_copies_is_read_in_one_line() {
        assert_eq!(Mirrored::default().to_string(), "0 copies; 0 of 0 compared differ");
        assert_eq!(
            mirrored(3, &[(200, 404, 1), (200, 500, 5)]).to_string(),
            "15 copies, 3 dropped; 6 of 12 compared differ: 1 x 200 became 404, 5 x 200 became 500"
        );
    }

    #[test]
    fn of_pairs_of_statuses_so_many_are_told_apart() {
        let mut sum = Mirrored::default();
        for copy in 0..100 {
            sum.add_pair(200, copy, 1);
        }
        sum.add_pair(200, 0, 1);
        sum.add_pair(200, 99, 1);
        assert_eq!(sum.pairs.len(), MAX_PAIRS);
        assert_eq!((sum.pairs[0], sum.pairs[MAX_PAIRS - 1]), ((200, 0, 2), (200, 31, 1)));
    }
}
