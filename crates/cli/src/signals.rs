//! Being asked to stop: Ctrl-C, or SIGTERM from whoever runs us; and to make way: SIGUSR2.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for signals that ask to stop.
#[derive(Debug)]
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// From here on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one. Losing the wait loses no signal.
    pub(crate) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Waits for SIGUSR2, which asks to start the binary that is on disk now.
#[derive(Debug)]
pub(crate) struct Renew(Signal);

impl Renew {
    /// From here on the signal no longer ends the process.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn new() -> io::Result<Self> {
        signal(SignalKind::user_defined2()).map(Self)
    }

    /// Waits for the next one. Losing the wait loses no signal.
    pub(crate) async fn wait(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
