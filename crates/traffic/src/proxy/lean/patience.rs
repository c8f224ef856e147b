//! A limit in time that moves with every message and costs next to nothing when it does.

use std::pin::Pin;
use std::task::Context;

use tokio::time::{Instant, Sleep, sleep_until};

/// One timer, set back only where a limit comes earlier than it would go off.
#[derive(Debug, Default)]
pub(crate) struct Patience(Option<Pin<Box<Sleep>>>);

impl Patience {
    /// Whether `by` has come; else makes sure of being woken by then. `None` never comes.
    pub(crate) fn is_over(&mut self, by: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(by) = by else {
            return false;
        };
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(by)));
        if timer.deadline() > by {
            timer.as_mut().reset(by);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= by {
                return true;
            }
            timer.as_mut().reset(by);
        }
        false
    }
}
