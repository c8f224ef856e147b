//! The end of an upstream's drain, as the requests on its connections learn of it.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

/// How a connection is told from outside that it is over.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    over: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Cut {
    /// It is over.
    pub(crate) fn now(&self) {
        self.over.set(true);
        self.waiting.take().inspect(Waker::wake_by_ref);
    }

    /// Whether it is over; else whoever asks is woken when it is.
    pub(crate) fn is_over(&self, cx: &Context<'_>) -> bool {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waiting = Some(cx.waker().clone());
        }
        self.over.get()
    }
}
