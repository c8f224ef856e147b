//! The access log: one JSON object a line, written by a thread of its own.
//!
//! The request path hands lines to a bounded queue and never waits; what does not fit is
//! dropped and counted. A line names the path without its query and a hash of the sticky
//! key, since queries and keys may be secrets.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use serde::{Serialize, Serializer};

use super::settings::{AccessLog, LOG_QUEUE};

/// One request, as it is written down.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// When it came, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// `-` when no service is for the request; so are the track and the release when none serves.
    #[serde(serialize_with = "as_text")]
    pub service: Arc<str>,
    pub track: &'static str,
    #[serde(serialize_with = "as_text")]
    pub release: Arc<str>,
    /// The client's address, behind proxies that are believed.
    pub client: String,
    #[serde(serialize_with = "as_text")]
    pub method: http::Method,
    pub path: String,
    /// Of HTTP, as the client speaks it: `1.0`, `1.1` or `2`.
    pub version: &'static str,
    /// 499 when the client went away before the first byte.
    pub status: u16,
    /// To the first byte, in microseconds.
    pub first_byte_us: u64,
    /// To the end, in microseconds.
    pub us: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Tells users apart within a service, and nothing else.
    pub user: u32,
    /// Why it is counted apart: `tester` or `segment`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apart: Option<&'static str>,
    /// Stable answered in its place; the status is stable's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shielded: bool,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
}

fn as_text<S: Serializer>(text: &impl AsRef<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.as_ref())
}

/// Where lines are handed in.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    queue: SyncSender<Box<Entry>>,
    dropped: Arc<AtomicU64>,
}

impl Log {
    /// Opens the log and starts its writer, which ends when the last `Log` is gone.
    pub(crate) fn open(log: &AccessLog) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match log {
            AccessLog::Stdout => Box::new(io::stdout()),
            AccessLog::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                Box::new(file.map_err(|error| {
                    let text = format!("access log {} cannot be opened: {error}", path.display());
                    io::Error::new(error.kind(), text)
                })?)
            }
        };
        let (queue, entries) = sync_channel(LOG_QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("proxy-log".to_owned())
            .spawn(move || write_all(&entries, BufWriter::new(out), &lost))?;
        Ok(Self { queue, dropped })
    }

    /// Hands a line in, or drops it.
    pub(crate) fn write(&self, entry: Box<Entry>) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.queue.try_send(entry)
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Writes what comes, and flushes whenever nothing waits.
fn write_all(entries: &Receiver<Box<Entry>>, mut out: impl Write, lost: &AtomicU64) {
    while let Ok(first) = entries.recv() {
        let waiting = std::iter::once(first).chain(entries.try_iter());
        for entry in waiting {
            if write_line(&mut out, &entry).is_err() {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        if let Err(error) = out.flush() {
            tracing::warn!(%error, "access log cannot be written");
        }
    }
}

fn write_line(out: &mut impl Write, entry: &Entry) -> io::Result<()> {
    serde_json::to_writer(&mut *out, entry)?;
    out.write_all(b"\n")
}
