//! One running process, whether we started it or found it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::procfs;
use super::record::Identity;

/// A process we watch and may signal.
#[derive(Debug)]
pub(super) struct Child {
    pid: Pid,
    /// Readable once the process has ended; works for a process that is not our child.
    fd: AsyncFd<OwnedFd>,
}

impl Child {
    /// Watches the process of this identity; `None` when it is gone. One that has just ended and
    /// is still to be reaped by us counts as there.
    pub(super) fn attach(identity: &Identity) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(identity.pid) else { return Ok(None) };
        let fd = match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Looked at after the descriptor was opened: from here on the id cannot mean another.
        if !is_same(identity) {
            return Ok(None);
        }
        #[expect(
            deprecated,
            reason = "its successor is unsafe; an OwnedFd meets what that asks for"
        )]
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        Ok(Some(Self { pid, fd }))
    }

    /// Waits until the process has ended. Its id is still taken then, until [`Self::reap`].
    pub(super) async fn ended(&self) {
        if self.fd.readable().await.is_err() {
            // The runtime is shutting down; whoever waits is about to be dropped with it.
            std::future::pending::<()>().await;
        }
    }

    /// Takes the exit status, so that no zombie stays; `None` where it is not our child.
    pub(super) fn reap(&self) -> Option<WaitStatus> {
        reap(self.pid)
    }
}

/// Whether the process runs; one that has ended is reaped where it is our child.
pub(super) fn is_alive(identity: &Identity) -> bool {
    let ended = procfs::stat(identity.pid).is_none_or(|stat| stat.zombie);
    if ended && is_same(identity) {
        Pid::from_raw(identity.pid).and_then(reap);
    }
    !ended && is_same(identity)
}

/// Everything of the process's group or with its token that has not ended.
pub(super) fn left(identity: &Identity, token: &str) -> Vec<i32> {
    let mut left = procfs::bearers(token);
    if owns_group(identity) {
        left.extend(procfs::members(identity.pid));
    }
    left.sort_unstable();
    left.dedup();
    left
}

/// Signals the whole group; what has ended meanwhile is no failure.
pub(super) fn signal_group(identity: &Identity, signal: Signal) {
    if let Some(pid) = Pid::from_raw(identity.pid)
        && owns_group(identity)
    {
        ignore_ended(rustix::process::kill_process_group(pid, signal), identity.pid);
    }
}

/// Kills one process; that it has ended meanwhile is no failure.
pub(super) fn kill(pid: i32) {
    if let Some(raw) = Pid::from_raw(pid) {
        ignore_ended(rustix::process::kill_process(raw, Signal::KILL), pid);
    }
}

fn ignore_ended(outcome: rustix::io::Result<()>, pid: i32) {
    match outcome {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => tracing::warn!(pid, %error, "cannot signal a process"),
    }
}

fn reap(pid: Pid) -> Option<WaitStatus> {
    let reaped = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG).ok().flatten();
    reaped.map(|(_, status)| status)
}

fn is_same(identity: &Identity) -> bool {
    procfs::boot().is_ok_and(|boot| boot == identity.boot)
        && procfs::stat(identity.pid).is_some_and(|stat| stat.start == identity.start)
}

/// The group's id is its leader's. The system gives it to nobody else while a member is left, so
/// it is ours unless a younger process has the leader's id.
fn owns_group(identity: &Identity) -> bool {
    procfs::boot().is_ok_and(|boot| boot == identity.boot)
        && procfs::stat(identity.pid).is_none_or(|stat| stat.start == identity.start)
}
