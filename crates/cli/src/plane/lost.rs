//! How long a proxy gives a canary its share without a controller that could take it back.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// See the module.
pub(super) struct Lost {
    /// For ever, where there is none.
    ttl: Option<Duration>,
    /// Runs from the last answer; `None` once it has fired.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Lost {
    /// Runs from now.
    pub(super) fn after(ttl: Option<Duration>) -> Self {
        Self { ttl, timer: ttl.map(|ttl| Box::pin(sleep(ttl))) }
    }

    /// Returns once, when no controller has answered for so long. May be dropped and asked again.
    pub(super) async fn falls(&mut self) -> Duration {
        match &mut self.timer {
            Some(timer) => timer.as_mut().await,
            None => std::future::pending().await,
        }
        self.timer = None;
        self.ttl.unwrap_or_default()
    }

    /// Whether no controller has answered for so long.
    pub(super) const fn has_fallen(&self) -> bool {
        self.ttl.is_some() && self.timer.is_none()
    }

    /// The process from before had waited for so long; false where it is waited for ever here.
    pub(super) fn fall(&mut self) -> bool {
        self.timer = None;
        self.has_fallen()
    }

    /// A controller has answered; true when it had been given up.
    pub(super) fn is_over(&mut self) -> bool {
        let was_lost = self.has_fallen();
        *self = Self::after(self.ttl);
        was_lost
    }
}
