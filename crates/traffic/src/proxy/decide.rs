//! Where one request goes, and what is to be known of it on the way.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use rollout::bucket::bucket;

use super::access::Entry;
use super::apart::Apart;
use super::behind::Lost;
use super::exchange::Client;
use super::fields;
use super::guard::{Side, micros};
use super::mirror;
use super::origin::Asker;
use super::route::{Slot, Times};
use super::shield::Cover;
use super::split::{self, Seat};
use super::sticky::Key;
use super::target;

/// Where one request goes, decided under one snapshot.
#[derive(Debug)]
pub(crate) struct Decided {
    pub seat: Seat,
    pub time: Times,
    /// How long all of it may take.
    pub total: Option<Duration>,
    /// Who answers in the canary's place when that fails.
    pub cover: Option<Cover>,
    /// The cookie that keeps a new user on this side.
    pub cookie: Option<HeaderValue>,
    /// Most bytes of its body.
    pub body_limit: Option<u64>,
    /// The header that is not to go on: it may hold the testers' secret.
    pub secret: Option<HeaderName>,
    /// Who serves, where the answer is to say so: to a tester.
    pub served_by: Option<Side>,
    /// What the access log is to say of it, where there is one, as far as that is known.
    pub entry: Option<Box<Entry>>,
}

/// Why a request goes nowhere.
#[derive(Clone, Debug)]
pub(crate) enum Undecided {
    /// No service behind the door is for it.
    Nowhere,
    /// Its path leads here and there, by how it is read.
    Doubtful,
    /// No release of this service, which it is for, serves.
    Unserved(Arc<Slot>),
    /// It says that its body is larger than its service takes. The connection is to be closed.
    TooLarge,
}

impl Undecided {
    /// What the client is told.
    pub(crate) const fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Nowhere => (StatusCode::NOT_FOUND, "no service is for this host and path\n"),
            Self::Doubtful => (
                StatusCode::BAD_REQUEST,
                "the path can be read in several ways that lead to different services\n",
            ),
            Self::Unserved(_) => (StatusCode::SERVICE_UNAVAILABLE, "no release serves here\n"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ""),
        }
    }
}

impl From<Lost> for Undecided {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Nowhere => Self::Nowhere,
            Lost::Doubtful => Self::Doubtful,
        }
    }
}

impl Client {
    /// Where a request with this head goes.
    ///
    /// # Errors
    /// When it goes nowhere.
    pub(crate) fn decide(&self, head: &Parts, asker: &Asker) -> Result<Decided, Undecided> {
        let behind = self.door.behind.load();
        if let Some(decided) = self.seat(behind.find(head)?, head, asker)? {
            return Ok(decided);
        }
        // Its service may have left a moment ago, and another one be for the request now.
        let behind = self.door.behind.load();
        let slot = behind.find(head)?;
        self.seat(slot, head, asker)?.ok_or_else(|| Undecided::Unserved(Arc::clone(slot)))
    }

    /// Counts a request that goes nowhere, once it is answered so, and writes it down.
    pub(crate) fn turned_away(
        &self,
        undecided: &Undecided,
        head: &Parts,
        asker: &Asker,
        started: Instant,
    ) {
        let (counter, service) = match undecided {
            Undecided::Nowhere | Undecided::Doubtful => (&self.door.unrouted, None),
            Undecided::Unserved(slot) => (&slot.unserved, Some(&slot.name)),
            Undecided::TooLarge => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(log) = &self.worker.log {
            let nobody = || Arc::from("-");
            let service = service.map_or_else(nobody, Arc::clone);
            let mut entry = entry(service, ("-", nobody()), head, asker);
            entry.status = undecided.answer().0.as_u16();
            entry.us = micros(started.elapsed());
            log.write(entry);
        }
    }

    /// Where a service has it served; `None` when no release does.
    fn seat(&self, slot: &Slot, head: &Parts, asker: &Asker) -> Result<Option<Decided>, Undecided> {
        let state = slot.state.load();
        if target::is_too_large(&head.headers, state.limits.body) {
            return Err(Undecided::TooLarge);
        }
        let key = state.tie.key(&head.headers, &asker.address, &self.worker.keys);
        let choice = state.chosen.choice(&head.headers);
        let Some(mut seat) = split::choose(&state, key.as_str(), choice) else {
            return Ok(None);
        };
        seat.mirror = mirror::drawn(&state, &seat, head, &self.worker);
        let cookie = match &key {
            Key::Fresh(fresh) => state.tie.set_cookie(fresh),
            Key::Known(_) => None,
        };
        let is_tester = seat.apart == Some(Apart::Tester);
        // A tester is to see what fails.
        let cover = (seat.side == Side::Canary && !is_tester).then(|| state.cover()).flatten();
        let secret = state.chosen.testers.as_ref().map(|testers| &testers.header);
        let secret = secret.filter(|header| head.headers.contains_key(*header)).cloned();
        let served_by = is_tester.then_some(seat.side);
        let entry = self.worker.log.as_ref().map(|_| {
            let track = (seat.side.name(), Arc::clone(&seat.track.release));
            let mut entry = entry(Arc::clone(&slot.name), track, head, asker);
            entry.user = bucket(&slot.name, key.as_str());
            entry.apart = seat.apart.map(Apart::name);
            entry
        });
        let (time, total, body_limit) = (state.time, state.total, state.limits.body);
        Ok(Some(Decided { seat, time, total, cover, cookie, body_limit, secret, served_by, entry }))
    }
}

/// A line of the access log, as far as it is known at a request's head.
fn entry(
    service: Arc<str>,
    (track, release): (&'static str, Arc<str>),
    head: &Parts,
    asker: &Asker,
) -> Box<Entry> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Box::new(Entry {
        time_ms: micros(now).checked_div(1_000).unwrap_or_default(),
        service,
        track,
        release,
        client: asker.address.clone(),
        method: head.method.clone(),
        path: head.uri.path().to_owned(),
        version: fields::version(head.version),
        status: 0,
        first_byte_us: 0,
        us: 0,
        bytes_in: 0,
        bytes_out: 0,
        user: 0,
        apart: None,
        shielded: false,
        cause: None,
    })
}
