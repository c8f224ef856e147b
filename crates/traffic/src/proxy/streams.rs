//! The streams of one HTTP/2 connection: what hyper does not watch.
//!
//! hyper limits how many there are and how many are reset; it lets a connection without any
//! stay for ever, and a client that stops taking an answer hold it for ever. Here the first
//! ends after `idle`, and of the second the stream that nobody takes from. So does a client that
//! resets what it asked for as fast as it asks (CVE-2023-44487), also where hyper had taken it in.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::settings::{RESET_EARLY, RESETS_TAKEN};

/// Bounds of the time between two looks.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(5));

/// See the module. Clones are the same connection's.
#[derive(Clone, Debug)]
pub(crate) struct Streams(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    open: RefCell<Vec<Rc<Open>>>,
    /// Since when there has been none.
    quiet_since: Cell<Instant>,
    /// Streams that are over, and those of them that the client reset at once.
    over: Cell<u64>,
    reset: Cell<u64>,
    abused: Notify,
}

#[derive(Debug)]
struct Open {
    since: Instant,
    /// Its answer is out, or we have ended it.
    done: Cell<bool>,

    /// When a piece of the answer was handed over; `None` once the next is asked for, which
    /// is when the client has room for it.
    handed: Cell<Option<Instant>>,
    /// When all of it has to be over.
    by: Cell<Option<Instant>>,
    /// Pieces that the client has not taken, and whom to tell when it has taken all of them.
    held: Cell<usize>,
    waits: RefCell<Option<Waker>>,
    task: RefCell<Option<AbortHandle>>,
}

/// A piece that the client has not taken yet.
#[derive(Debug)]
pub(crate) struct Held(Rc<Open>);

impl Drop for Held {
    fn drop(&mut self) {
        let left = self.0.held.get().saturating_sub(1);
        self.0.held.set(left);
        if left == 0 {
            self.0.waits.take().inspect(Waker::wake_by_ref);
        }
    }
}

/// One stream, from its head to the end of its answer.
#[derive(Debug)]
pub(crate) struct Stream {
    open: Rc<Open>,
    streams: Streams,
}

impl Streams {
    /// None yet.
    pub(crate) fn new() -> Self {
        let quiet_since = Cell::new(Instant::now());
        let (over, reset) = (Cell::new(0), Cell::new(0));
        let abused = Notify::new();
        Self(Rc::new(Inner { open: RefCell::default(), quiet_since, over, reset, abused }))
    }

    /// One more.
    pub(crate) fn open(&self) -> Stream {
        let open = Rc::new(Open {
            since: Instant::now(),
            done: Cell::new(false),
            handed: Cell::new(None),
            by: Cell::new(None),
            held: Cell::new(0),
            waits: RefCell::default(),
            task: RefCell::default(),
        });
        self.0.open.borrow_mut().push(Rc::clone(&open));
        Stream { open, streams: self.clone() }
    }

    /// Returns when there has been no stream for `idle`, or when the client resets too many of
    /// them; meanwhile ends the streams whose client takes nothing for as long.
    pub(crate) async fn quiet(&self, idle: Duration) {
        let look = idle.checked_div(4).unwrap_or(idle).clamp(LOOK.0, LOOK.1);
        loop {
            if timeout(look, self.0.abused.notified()).await.is_ok() || self.is_abused() {
                return;
            }
            if self.is_empty() && self.0.quiet_since.get().elapsed() >= idle {
                return;
            }
            for task in self.stalled(idle) {
                task.abort();
            }
        }
    }

    /// Whether the client has reset more than it let finish.
    pub(crate) fn is_abused(&self) -> bool {
        let (over, reset) = (self.0.over.get(), self.0.reset.get());
        reset > RESETS_TAKEN && reset.saturating_mul(2) > over
    }

    fn is_empty(&self) -> bool {
        self.0.open.borrow().is_empty()
    }

    /// The tasks of streams whose client has taken nothing for `idle`, or too long for all of it.
    fn stalled(&self, idle: Duration) -> Vec<AbortHandle> {
        let open = self.0.open.borrow();
        let now = Instant::now();
        let is_late = |open: &Open| open.by.get().is_some_and(|by| now >= by);
        let waits = |open: &Open| {
            let handed = open.handed.get();
            handed.is_some_and(|it| now.saturating_duration_since(it) >= idle || is_late(open))
        };
        let stalled = open.iter().filter(|open| waits(open));
        stalled
            .inspect(|open| open.done.set(true))
            .filter_map(|open| open.task.borrow().clone())
            .collect()
    }
}

/// hyper calls the service, which opens the stream, and at once has its task run here.
impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, future: F) {
        let task = tokio::task::spawn_local(future);
        if let Some(last) = self.0.open.borrow().last() {
            last.task.borrow_mut().get_or_insert_with(|| task.abort_handle());
        }
    }
}

impl Stream {
    /// A piece of the answer was handed over.
    pub(crate) fn handed(&self) {
        self.open.handed.set(Some(Instant::now()));
    }

    /// All of it has to be over by then.
    pub(crate) fn ends(&self, by: Option<Instant>) {
        self.open.by.set(by);
    }

    /// Its answer is out.
    pub(crate) fn done(&self) {
        self.open.done.set(true);
    }

    /// A piece is on its way, until what this returns is dropped.
    pub(crate) fn hold(&self) -> Held {
        self.open.held.set(self.open.held.get().saturating_add(1));
        Held(Rc::clone(&self.open))
    }

    /// Whether there are pieces that the client has not taken.
    pub(crate) fn is_holding(&self) -> bool {
        self.open.held.get() > 0
    }

    /// The same, and has the task woken when there are none any more.
    pub(crate) fn waits(&self, cx: &Context<'_>) -> bool {
        if self.is_holding() {
            self.open.waits.replace(Some(cx.waker().clone()));
        }
        self.is_holding()
    }

    /// The next piece is asked for.
    pub(crate) fn asked(&self) {
        self.open.handed.set(None);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let inner = &self.streams.0;
        let now = Instant::now();
        inner.open.borrow_mut().retain(|open| !Rc::ptr_eq(open, &self.open));
        inner.quiet_since.set(now);
        inner.over.set(inner.over.get().saturating_add(1));
        let early = now.saturating_duration_since(self.open.since) < RESET_EARLY;
        if early && !self.open.done.get() {
            inner.reset.set(inner.reset.get().saturating_add(1));
            if self.streams.is_abused() {
                inner.abused.notify_one();
            }
        }
    }
}
