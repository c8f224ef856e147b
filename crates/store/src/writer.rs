//! The thread that owns a log.
//!
//! Appends that wait together are committed together: the disk is asked once for all of them. The
//! anchor is written after the callers were answered, when nothing waits and at the latest every
//! [`ANCHOR_GROUPS`] commits, so it costs nobody's time.

use std::{io, thread};

use tokio::sync::{mpsc, oneshot};

use crate::anchor::Anchoring;
use crate::log::{AppendError, Appended, Log, Request};

/// Writes that may wait; above it callers wait to be let in.
const QUEUE: usize = 1_024;

/// Writes taken from the queue at once: bounds the size of one commit.
const GROUP: usize = 256;

/// Commits after which the anchor is written even though more work waits.
const ANCHOR_GROUPS: u32 = 64;

/// Where the answer to an append goes.
pub(crate) type Answer = oneshot::Sender<Result<Appended, AppendError>>;

/// A write, which sends its own answer.
pub(crate) type Write = Box<dyn FnOnce(&mut dyn Log) + Send>;

/// What a [`Store`](crate::Store) asks the thread to do.
pub(crate) enum Job {
    /// Append, together with what else waits.
    Append(Box<Request>, Answer),
    /// Any other write.
    Other(Write),
    /// Close the log and tell when it is closed.
    Close(oneshot::Sender<()>),
}

/// Puts `log` on a thread of its own, which ends after [`Job::Close`] or with the last sender.
pub(crate) fn start(log: Box<dyn Log>) -> io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel(QUEUE);
    let writer = Writer { log, unanchored: 0 };
    thread::Builder::new().name("store".into()).spawn(move || writer.run(jobs))?;
    Ok(sender)
}

struct Writer {
    log: Box<dyn Log>,
    /// Commits since the anchor was written.
    unanchored: u32,
}

impl Writer {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut group = Vec::new();
        while jobs.blocking_recv_many(&mut group, GROUP) > 0 {
            if let Some(closed) = self.work(&mut group) {
                self.anchor();
                drop((self, jobs));
                // An error means that the caller stopped waiting.
                let _: Result<(), ()> = closed.send(());
                return;
            }
            if self.unanchored >= ANCHOR_GROUPS || jobs.is_empty() {
                self.anchor();
            }
        }
    }

    /// Does a group of jobs in order; answers whom to tell when it ends with closing.
    fn work(&mut self, group: &mut Vec<Job>) -> Option<oneshot::Sender<()>> {
        let mut appends = Vec::new();
        for job in group.drain(..) {
            match job {
                Job::Append(request, answer) => appends.push((*request, answer)),
                Job::Other(job) => {
                    self.append(&mut appends);
                    job(&mut *self.log);
                }
                Job::Close(closed) => {
                    self.append(&mut appends);
                    return Some(closed);
                }
            }
        }
        self.append(&mut appends);
        None
    }

    /// Commits the appends together and tells each caller.
    fn append(&mut self, appends: &mut Vec<(Request, Answer)>) {
        if appends.is_empty() {
            return;
        }
        let (requests, callers): (Vec<Request>, Vec<Answer>) = appends.drain(..).unzip();
        let answers = self.log.append_all(&requests);
        for (caller, answer) in callers.into_iter().zip(answers) {
            // An error means that the caller stopped waiting.
            let _: Result<(), _> = caller.send(answer);
        }
        self.unanchored = self.unanchored.saturating_add(1);
    }

    fn anchor(&mut self) {
        if self.unanchored == 0 {
            return;
        }
        match self.log.anchor() {
            Ok(Anchoring::Whole) => self.unanchored = 0,
            Ok(found) => {
                self.unanchored = 0;
                tracing::error!(%found, "the log and its anchor disagree");
            }
            Err(error) => tracing::error!(%error, "cannot write the anchor, trying again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rollout::units::{Millis, Timestamp};

    use super::*;
    use crate::log::{Append, Entry, Failure};
    use crate::memory::{Fault, MemoryLog};

    fn job(request: Request) -> (Job, oneshot::Receiver<Result<Appended, AppendError>>) {
        let (answer, answered) = oneshot::channel();
        (Job::Append(Box::new(request), answer), answered)
    }

    #[test]
    fn appends_that_wait_together_are_one_write() {
        let mut log = MemoryLog::new();
        let lease = log.acquire("a", Millis(1_000), Timestamp(0)).unwrap();
        log.fail_next(Fault::UnknownBefore);
        let request = |rollout: &str| Request {
            lease: lease.clone(),
            append: Append {
                rollout: rollout.into(),
                expected: 0,
                at: Timestamp(0),
                entries: vec![Entry {
                    kind: "created".into(),
                    body: "{}".into(),
                    owed: Vec::new(),
                }],
            },
        };
        let (mut group, answers): (Vec<_>, Vec<_>) =
            ["a", "b", "c"].map(request).map(job).into_iter().unzip();
        let mut writer = Writer { log: Box::new(log), unanchored: 0 };
        assert!(writer.work(&mut group).is_none());
        for mut answer in answers {
            let answer = answer.try_recv().unwrap();
            assert!(
                matches!(answer, Err(AppendError::Failed(Failure::Unknown(_)))),
                "one fault takes the whole write: {answer:?}"
            );
        }
    }
}
