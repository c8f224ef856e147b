//! A limit in time that moves with every message and costs next to nothing when it does.

use std::pin::{Pin, pin};
use std::task::{Context, Waker};

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// One timer, set back only where a limit comes earlier than it would go off.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
    /// Whom the timer wakes.
    wakes: Option<Waker>,
}

impl Patience {
    /// Whether `by` has come; else makes sure of being woken by then. `None` never comes.
    pub(crate) fn is_over(&mut self, by: Option<Instant>, cx: &mut Context<'_>) -> bool {
        let Some(by) = by else {
            return false;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(by)));
        if timer.deadline() > by {
            timer.as_mut().reset(by);
            self.wakes = None;
        }
        let armed = self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if armed && !timer.is_elapsed() {
            return false;
        }
        // Where a task has used up its turn, a timer that keeps to it says that it waits and is not
        // armed.
        while pin!(unconstrained(timer.as_mut())).poll(cx).is_ready() {
            if Instant::now() >= by {
                return true;
            }
            timer.as_mut().reset(by);
        }
        self.wakes = Some(cx.waker().clone());
        false
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::task::coop;

    use super::*;

    /// How often somebody who waits until `by` is woken.
    async fn waits(patience: &mut Patience, by: Instant) -> u32 {
        let mut woken = 0;
        poll_fn(|cx| {
            woken += 1;
            if patience.is_over(Some(by), cx) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(Instant::now() >= by);
        woken
    }

    #[tokio::test]
    async fn a_limit_is_kept_by_a_task_that_has_used_up_its_turn() {
        let (mut patience, mut turns) = (Patience::default(), 0);
        let by = Instant::now() + Duration::from_millis(20);
        poll_fn(|cx| {
            turns += 1;
            while turns == 1 && coop::has_budget_remaining() {
                let _ = pin!(coop::consume_budget()).poll(cx);
            }
            if patience.is_over(Some(by), cx) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(Instant::now() >= by);
    }

    #[tokio::test]
    async fn a_limit_that_moves_on_is_kept_and_one_that_comes_earlier_too() {
        let (mut patience, start) = (Patience::default(), Instant::now());
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(!patience.is_over(None, &mut cx));
        assert!(!patience.is_over(Some(start + Duration::from_hours(1)), &mut cx));
        assert_eq!(waits(&mut patience, start + Duration::from_millis(20)).await, 2);
        let later = Instant::now() + Duration::from_millis(20);
        assert!(!patience.is_over(Some(later), &mut cx));
        assert!(!patience.is_over(Some(later + Duration::from_millis(20)), &mut cx));
        assert_eq!(waits(&mut patience, later + Duration::from_millis(40)).await, 3);
    }
}
