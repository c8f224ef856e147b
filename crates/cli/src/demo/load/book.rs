//! What became of the requests: who met which version, who was failed by whom, and when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rollout::evidence::histogram::{BUCKETS, bucket_of, quantile_us};

use super::connections::Reply;

/// One request that came to its end.
pub(super) struct Answer {
    pub(super) user: u32,
    /// When it should have been sent.
    pub(super) due: Instant,
    /// When it was.
    pub(super) sent: Instant,
    /// When its answer was there, or its failure.
    pub(super) came: Instant,
    /// What came, or what happened instead.
    pub(super) answered: Result<Reply, String>,
}

/// Everything so far.
pub(super) struct Book {
    requests: u64,
    users: Users,
    failed: u64,
    unserved: u64,
    last_unserved: Option<String>,
    /// Requests by latency bucket.
    latencies: Vec<u64>,
    versions: BTreeMap<String, Met>,
}

/// What one version did.
struct Met {
    requests: u64,
    failed: u64,
    users: Users,
    failed_users: Users,
    /// When its first bad answer came.
    first_failure: Option<Instant>,
    /// When the last request it answered had been sent.
    last_sent: Instant,
}

/// The figures at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Requests that came to their end.
    pub(crate) requests: u64,
    /// Distinct users who sent them.
    pub(crate) users: u32,
    /// Those of them that a user saw fail: a 5xx, or no answer.
    pub(crate) failed: u64,
    /// Failed requests that no version answered: they were lost on the way.
    pub(crate) unserved: u64,
    /// What happened to the last of these.
    pub(crate) last_unserved: Option<String>,
    /// The median latency from when a request was due.
    pub(crate) p50: Option<Duration>,
    /// The 99th percentile.
    pub(crate) p99: Option<Duration>,
    /// By version.
    pub(crate) versions: BTreeMap<String, Version>,
}

/// What one version did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Version {
    /// Requests it answered.
    pub(crate) requests: u64,
    /// Those it failed.
    pub(crate) failed: u64,
    /// Distinct users it answered.
    pub(crate) users: u32,
    /// Distinct users it failed.
    pub(crate) failed_users: u32,
    /// From its first bad answer to the last new request that it was given.
    pub(crate) met_after_failing: Option<Duration>,
}

impl Book {
    pub(super) fn new(users: u32) -> Self {
        Self {
            requests: 0,
            users: Users::of(users),
            failed: 0,
            unserved: 0,
            last_unserved: None,
            latencies: vec![0; BUCKETS],
            versions: BTreeMap::new(),
        }
    }

    pub(super) fn write(&mut self, answer: Answer) {
        let Answer { user, due, sent, came, answered } = answer;
        self.requests += 1;
        self.users.add(user);
        let latency = u64::try_from(came.duration_since(due).as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.latencies.get_mut(usize::from(bucket_of(latency))) {
            *count += 1;
        }
        let is_failure = answered.as_ref().map_or(true, |reply| reply.status >= 500);
        self.failed += u64::from(is_failure);
        match answered {
            Ok(Reply { build: Some(build), .. }) => {
                let met = self.versions.entry(build).or_insert_with(|| Met::new(&self.users, sent));
                met.write(user, sent, is_failure.then_some(came));
            }
            Ok(Reply { build: None, status }) if is_failure => {
                self.lose(format!("the proxy answered {status} by itself"));
            }
            Ok(Reply { build: None, .. }) => {}
            Err(why) => self.lose(why),
        }
    }

    fn lose(&mut self, why: String) {
        self.unserved += 1;
        self.last_unserved = Some(why);
    }

    pub(super) fn figures(&self) -> Figures {
        let counted: Vec<(u16, u64)> = (0..)
            .zip(&self.latencies)
            .filter(|(_, count)| **count > 0)
            .map(|(bucket, count)| (bucket, *count))
            .collect();
        let quantile = |share| quantile_us(&counted, share).map(Duration::from_micros);
        Figures {
            requests: self.requests,
            users: self.users.count,
            failed: self.failed,
            unserved: self.unserved,
            last_unserved: self.last_unserved.clone(),
            p50: quantile(0.5),
            p99: quantile(0.99),
            versions: self
                .versions
                .iter()
                .map(|(name, met)| (name.clone(), met.figures()))
                .collect(),
        }
    }
}

impl Met {
    fn new(users: &Users, sent: Instant) -> Self {
        let nobody = || Users { seen: vec![false; users.seen.len()], count: 0 };
        Self {
            requests: 0,
            failed: 0,
            users: nobody(),
            failed_users: nobody(),
            first_failure: None,
            last_sent: sent,
        }
    }

    /// Takes an answer in; `failed` is when it came, where it was a bad one.
    fn write(&mut self, user: u32, sent: Instant, failed: Option<Instant>) {
        self.requests += 1;
        self.users.add(user);
        self.last_sent = self.last_sent.max(sent);
        if let Some(came) = failed {
            self.failed += 1;
            self.failed_users.add(user);
            self.first_failure = Some(self.first_failure.map_or(came, |first| first.min(came)));
        }
    }

    fn figures(&self) -> Version {
        Version {
            requests: self.requests,
            failed: self.failed,
            users: self.users.count,
            failed_users: self.failed_users.count,
            met_after_failing: self
                .first_failure
                .map(|first| self.last_sent.saturating_duration_since(first)),
        }
    }
}

/// A set of users.
struct Users {
    seen: Vec<bool>,
    count: u32,
}

impl Users {
    fn of(most: u32) -> Self {
        Self { seen: vec![false; usize::try_from(most).unwrap_or(usize::MAX)], count: 0 }
    }

    fn add(&mut self, user: u32) {
        let place = usize::try_from(user).ok().and_then(|user| self.seen.get_mut(user));
        if let Some(seen) = place.filter(|seen| !**seen) {
            *seen = true;
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(start: Instant, user: u32, at_ms: u64, answered: Result<Reply, String>) -> Answer {
        let due = start + Duration::from_millis(at_ms);
        Answer { user, due, sent: due, came: due + Duration::from_millis(4), answered }
    }

    fn by(build: &str, status: u16) -> Reply {
        Reply { build: Some(build.to_owned()), status }
    }

    #[test]
    fn each_version_answers_for_its_own_failures_and_users() {
        let (mut book, start) = (Book::new(10), Instant::now());
        book.write(answer(start, 1, 0, Ok(by("v1", 200))));
        book.write(answer(start, 1, 10, Ok(by("v3", 500))));
        book.write(answer(start, 1, 20, Ok(by("v3", 500))));
        book.write(answer(start, 2, 30, Ok(by("v3", 200))));
        book.write(answer(start, 3, 90, Ok(by("v1", 200))));
        let figures = book.figures();
        assert_eq!((figures.requests, figures.users), (5, 3));
        assert_eq!((figures.failed, figures.unserved), (2, 0));
        let v3 = &figures.versions["v3"];
        assert_eq!((v3.requests, v3.failed, v3.users, v3.failed_users), (3, 2, 2, 1));
        // The first bad answer came at 14 ms, the last request it was given left at 30 ms.
        assert_eq!(v3.met_after_failing, Some(Duration::from_millis(16)));
        assert_eq!(figures.versions["v1"].met_after_failing, None);
    }

    #[test]
    fn what_no_version_answered_was_lost_on_the_way() {
        let (mut book, start) = (Book::new(2), Instant::now());
        book.write(answer(start, 0, 0, Ok(Reply { build: None, status: 503 })));
        book.write(answer(start, 1, 1, Err("connection reset".to_owned())));
        let figures = book.figures();
        assert_eq!((figures.failed, figures.unserved), (2, 2));
        assert_eq!(figures.last_unserved.as_deref(), Some("connection reset"));
        assert!(figures.versions.is_empty());
    }
}
