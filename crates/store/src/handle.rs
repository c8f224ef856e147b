//! The store as asynchronous callers see it.
//!
//! Writes go to one thread, in the order they were asked for. Reads run beside it and see all that
//! was acknowledged before they were asked.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rollout::units::{Millis, Timestamp};
use tokio::sync::{mpsc, oneshot};

use crate::anchor::Anchoring;
use crate::chain::{self, Audit, Tail};
use crate::lease::{Held, Lease, LeaseError};
use crate::log::{Append, AppendError, Appended, Failure, Log, Reader, Record, Request};
use crate::outbox::{Delivery, Outcome, SettleError};
use crate::sqlite::{OpenError, SqliteLog};
use crate::writer::{self, Job};

/// A handle to a log; cheap to clone, and the log closes when the last one is gone.
#[derive(Clone)]
pub struct Store {
    writes: mpsc::Sender<Job>,
    reader: Arc<dyn Reader>,
}

impl Store {
    /// Opens the SQLite log at `path`, creating it when there is none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let log = SqliteLog::open(path)?;
        Self::over(log).map_err(|error| OpenError::Io { path: path.to_owned(), error })
    }

    /// Puts `log` on a thread of its own.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn over(log: impl Log + 'static) -> io::Result<Self> {
        let reader = Arc::from(log.reader());
        let writes = writer::start(Box::new(log))?;
        Ok(Self { writes, reader })
    }

    /// Finishes the writes already asked for and closes the log; later writes fail. Dropping every
    /// handle closes it too, without telling when.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.writes.send(Job::Close(done)).await.is_ok() {
            // An error means that it was closed before.
            let _: Result<(), _> = closed.await;
        }
    }

    /// Appends events; when this returns `Ok` they survive a crash. See [`Log::append`].
    ///
    /// A caller that stops waiting does not stop the append.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub async fn append(&self, lease: &Lease, append: Append) -> Result<Appended, AppendError> {
        let lease = lease.clone();
        let request = Box::new(Request { lease, append });
        let (answer, answered) = oneshot::channel();
        self.send(Job::Append(request, answer)).await?;
        answered.await.map_err(|_| stopped())?
    }

    /// Takes the lease. See [`Log::acquire`].
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn acquire(
        &self,
        holder: &str,
        ttl: Millis,
        now: Timestamp,
    ) -> Result<Lease, LeaseError> {
        let holder = holder.to_owned();
        self.write(move |log| log.acquire(&holder, ttl, now)).await?
    }

    /// Keeps the lease. See [`Log::renew`].
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn renew(
        &self,
        lease: &Lease,
        ttl: Millis,
        now: Timestamp,
    ) -> Result<Lease, LeaseError> {
        let lease = lease.clone();
        self.write(move |log| log.renew(&lease, ttl, now)).await?
    }

    /// Gives the lease back. See [`Log::release`].
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn release(&self, lease: Lease) -> Result<(), LeaseError> {
        self.write(move |log| log.release(&lease)).await?
    }

    /// Records an attempt at a delivery. See [`Log::settle`].
    ///
    /// # Errors
    /// See [`SettleError`].
    pub async fn settle(
        &self,
        lease: &Lease,
        key: &str,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<(), SettleError> {
        let (lease, key) = (lease.clone(), key.to_owned());
        self.write(move |log| log.settle(&lease, &key, &outcome, now)).await?
    }

    /// Keeps a note. See [`Log::put`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put(&self, key: &str, value: &str) -> Result<(), Failure> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write(move |log| log.put(&key, &value)).await?
    }

    /// Forgets a note. See [`Log::delete`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete(&self, key: &str) -> Result<(), Failure> {
        let key = key.to_owned();
        self.write(move |log| log.delete(&key)).await?
    }

    /// Accepts the log as it is as whole. See [`Log::accept`].
    ///
    /// # Errors
    /// See [`LeaseError`].
    pub async fn accept(&self, lease: &Lease) -> Result<Tail, LeaseError> {
        let lease = lease.clone();
        self.write(move |log| log.accept(&lease)).await?
    }

    /// See [`Reader::events`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events(&self, rollout: &str, after: u64) -> Result<Vec<Record>, Failure> {
        let rollout = rollout.to_owned();
        self.read(move |log| log.events(&rollout, after)).await
    }

    /// See [`Reader::all`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn all(&self, after: u64, limit: u32) -> Result<Vec<Record>, Failure> {
        self.read(move |log| log.all(after, limit)).await
    }

    /// See [`Reader::rollouts`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn rollouts(&self) -> Result<Vec<String>, Failure> {
        self.read(Reader::rollouts).await
    }

    /// See [`Reader::tail`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tail(&self) -> Result<Tail, Failure> {
        self.read(Reader::tail).await
    }

    /// See [`Reader::anchoring`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn anchoring(&self) -> Result<Anchoring, Failure> {
        self.read(Reader::anchoring).await
    }

    /// Walks the whole log. See [`chain::verify`].
    ///
    /// # Errors
    /// When the anchor cannot be compared.
    #[expect(
        clippy::redundant_closure,
        reason = "the function itself is generic over the lifetime of the reader, the closure is not"
    )]
    pub async fn verify(&self) -> Result<Audit, Failure> {
        self.read(|log| chain::verify(log)).await
    }

    /// See [`Reader::held`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn held(&self) -> Result<Option<Held>, Failure> {
        self.read(Reader::held).await
    }

    /// See [`Reader::pending`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending(&self, after: u64, limit: u32) -> Result<Vec<Delivery>, Failure> {
        self.read(move |log| log.pending(after, limit)).await
    }

    /// See [`Reader::deliveries`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn deliveries(&self, rollout: &str) -> Result<Vec<Delivery>, Failure> {
        let rollout = rollout.to_owned();
        self.read(move |log| log.deliveries(&rollout)).await
    }

    /// See [`Reader::note`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn note(&self, key: &str) -> Result<Option<String>, Failure> {
        let key = key.to_owned();
        self.read(move |log| log.note(&key)).await
    }

    /// See [`Reader::notes`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn notes(&self, prefix: &str) -> Result<Vec<(String, String)>, Failure> {
        let prefix = prefix.to_owned();
        self.read(move |log| log.notes(&prefix)).await
    }

    async fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Log) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        let job = move |log: &mut dyn Log| {
            // An error means that the caller stopped waiting.
            let _: Result<(), T> = answer.send(job(log));
        };
        self.send(Job::Other(Box::new(job))).await?;
        answered.await.map_err(|_| stopped())
    }

    async fn send(&self, job: Job) -> Result<(), Failure> {
        let closed = |_| Failure::Unavailable("the store is closed".into());
        self.writes.send(job).await.map_err(closed)
    }

    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&(dyn Reader + 'static)) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let reader = Arc::clone(&self.reader);
        tokio::task::spawn_blocking(move || question(&*reader))
            .await
            .unwrap_or_else(|error| Err(Failure::Unavailable(error.to_string())))
    }
}

/// The writer took the job and ended before it answered.
fn stopped() -> Failure {
    Failure::Unknown("the store closed before it answered".into())
}
