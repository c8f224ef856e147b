//! What a proxy is told once, when it starts. Everything else comes with snapshots.

use std::path::PathBuf;
use std::time::Duration;

/// How a proxy runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// Threads that serve, each with its own runtime and listeners; 0 means one per core.
    pub threads: usize,
    /// Where each request is written down; `None` writes nothing.
    pub access_log: Option<AccessLog>,
}

/// Where the access log goes: one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// Appended to this file, which is made when it is not there.
    File(PathBuf),
}

/// Largest request head in bytes; a larger one is answered with 431.
pub(crate) const HEAD_BYTES: usize = 64 * 1024;
/// Most header lines of one head; more are answered with 431.
pub(crate) const HEADERS: usize = 100;
/// Largest read buffer of a connection: what a slow other side may make us hold.
pub(crate) const BUFFER_BYTES: usize = 256 * 1024;
/// Most streams a client may have open on one HTTP/2 connection.
pub(crate) const STREAMS: u32 = 128;
/// Streams that a client may reset before they are taken, or that are reset because of what it
/// did, before its connection is ended (CVE-2023-44487).
pub(crate) const RESETS: usize = 64;
/// Streams of one connection that a client may reset within [`RESET_EARLY`] of opening them, though
/// they were taken; more end the connection when they are more than half of all. Envoy's limit.
pub(crate) const RESETS_TAKEN: u64 = 250;
/// A stream reset sooner has cost its client nothing.
pub(crate) const RESET_EARLY: Duration = Duration::from_secs(1);
/// Most of an answer that one stream holds for its client.
pub(crate) const STREAM_BUFFER_BYTES: usize = 128 * 1024;
/// How long an HTTP/2 connection may be silent before it is asked whether it lives.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(30);
/// How long an upstream may take to say that it does.
pub(crate) const PING_WITHIN: Duration = Duration::from_secs(20);
/// Most idle connections kept to one upstream by one thread.
pub(crate) const IDLE_CONNECTIONS: usize = 256;
/// Requests whose access-log lines may wait for the writer; more are dropped and counted.
pub(crate) const LOG_QUEUE: usize = 8 * 1024;

impl ProxySettings {
    /// The number of serving threads: as set, or one per core.
    pub(crate) fn workers(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get),
            threads => threads,
        }
    }
}
