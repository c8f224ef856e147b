//! One request from its arrival to its end: counted exactly once, whatever happens.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use tokio::sync::oneshot;

use super::access::Entry;
use super::apart::Apart;
use super::count::{Cause, Shard};
use super::guard::{Fate, Guard, Side, micros};
use super::listen::Worker;
use super::mirror::{self, Met};
use super::route::{Times, Track};
use super::split::Seat;
use super::upload::Progress;
use super::wire::Line;

/// The status that stands for a client that went away (nginx's number).
const CLIENT_GONE: u16 = 499;
/// What a client gets whose release left before it answered.
const UNANSWERED: u16 = 503;

/// Bytes that passed an upgraded connection so far, counted while they do: what ends it need
/// not leave time to say so.
#[derive(Debug, Default)]
pub(crate) struct Tunnelled {
    pub bytes_in: Cell<u64>,
    pub bytes_out: Cell<u64>,
}

/// See the module. Whatever was not said by the time it is dropped means that the client
/// went away, or that its connection was cut.
#[derive(Debug)]
pub(crate) struct Visit {
    worker: Rc<Worker>,
    track: Arc<Track>,
    side: Side,
    witness: Option<(Arc<Guard>, u32)>,
    /// The canary that is to get a copy.
    mirror: Option<Arc<Track>>,
    /// Who compares the copy's answer with this one.
    copied: Option<oneshot::Sender<Met>>,
    /// Where it is counted, when that is not with those a gate looks at.
    apart: Option<Apart>,
    started: Instant,
    fate: Option<Fate>,
    line: Arc<Line>,
    /// Stable, where it answers in the track's place.
    relief: Option<Arc<Track>>,
    upload: Option<Rc<Progress>>,
    /// Through an upgraded connection, beside what else came and went.
    tunnel: Option<Rc<Tunnelled>>,
    /// Of a body that came with its head.
    bytes_in: u64,
    bytes_out: u64,
    /// Its end was said: complete, cut or broken.
    over: bool,
    log: Option<Box<Entry>>,
}

impl Visit {
    /// Whether it is stable's.
    pub(crate) const fn is_stables(&self) -> bool {
        matches!(self.side, Side::Stable)
    }

    /// A request that takes this seat.
    pub(crate) fn begin(
        worker: &Rc<Worker>,
        seat: Seat,
        started: Instant,
        line: &Arc<Line>,
        log: Option<Box<Entry>>,
    ) -> Self {
        let visit = Self {
            worker: Rc::clone(worker),
            track: seat.track,
            side: seat.side,
            witness: seat.witness,
            mirror: seat.mirror,
            copied: None,
            apart: seat.apart,
            started,
            fate: None,
            line: Arc::clone(line),
            relief: None,
            upload: None,
            tunnel: None,
            bytes_in: 0,
            bytes_out: 0,
            over: false,
            log,
        };
        visit.shard().inspect(|shard| shard.begin());
        visit
    }

    /// Stable answers in place of the track, whose failure is counted, or fails as well.
    pub(crate) fn relieved(&mut self, stable: &Arc<Track>, status: u16) {
        stable.ledger.shard(self.worker.index).inspect(|shard| shard.begin());
        self.relief = Some(Arc::clone(stable));
        let spared = status < 500;
        if spared && self.apart.is_none() {
            self.shard().inspect(|shard| shard.shielded());
        }
        if let Some(log) = &mut self.log {
            (log.status, log.shielded) = (status, spared);
            log.first_byte_us = micros(self.started.elapsed());
        }
    }

    /// Sends the copy, where there is to be one: of a request that has no body.
    pub(crate) fn copy(&mut self, head: &Parts, time: &Times) {
        if let Some(canary) = self.mirror.take() {
            self.copied = mirror::send(&self.worker, canary, head, time);
        }
    }

    fn shard(&self) -> Option<&Shard> {
        self.track.ledger.shard(self.worker.index)
    }

    /// The upload whose bytes count for this request.
    pub(crate) fn uploads(&mut self, upload: Option<Rc<Progress>>) {
        self.upload = upload;
    }

    /// The upload, where there is one.
    pub(crate) fn upload(&self) -> Option<&Progress> {
        self.upload.as_deref()
    }

    /// The track that serves it.
    pub(crate) const fn track(&self) -> &Arc<Track> {
        &self.track
    }

    /// The first byte is here, or the failure that stands for it. What stable does in the
    /// track's place is not counted as the track's.
    pub(crate) fn answered(&mut self, status: u16, cause: Option<Cause>) {
        self.answered_at(Instant::now(), status, cause);
    }

    /// The same, by somebody who knows when.
    pub(crate) fn answered_at(&mut self, now: Instant, status: u16, cause: Option<Cause>) {
        if self.relief.is_some() {
            return;
        }
        if self.fate.is_some() {
            // Counted when the canary failed; stable, asked in its place, was no better.
            if let Some(log) = &mut self.log {
                log.status = status;
            }
            return;
        }
        let us = micros(now.saturating_duration_since(self.started));
        let cause = cause.or((status >= 500).then_some(Cause::Status));
        let over = self.track.limits.iter().take_while(|limit| us > limit.us).count();
        let fate = Fate { failed: cause.is_some(), over };
        match self.apart {
            Some(apart) => drop(self.shard().inspect(|shard| shard.apart(apart, fate.failed))),
            None => self.count(status, us, cause, fate),
        }
        if let Some(copied) = self.copied.take() {
            let _ = copied.send(Met { status, us });
        }
        self.fate = Some(fate);
        if let Some(log) = &mut self.log {
            (log.status, log.first_byte_us, log.cause) = (status, us, cause.map(Cause::name));
        }
    }

    /// Counts what gates and the guard look at.
    fn count(&self, status: u16, us: u64, cause: Option<Cause>, fate: Fate) {
        if let Some(shard) = self.shard() {
            shard.answer(status, us);
            cause.inspect(|&cause| shard.fail(cause));
        }
        let slower = if fate.failed { self.track.limits.len() } else { fate.over };
        self.count_slower(0, slower);
        if let Some((guard, bucket)) = &self.witness {
            guard.witness(self.worker.index, self.side, *bucket, fate);
        }
    }

    /// The drain of its release or of its door ended, in the middle of the answer or before it began; then
    /// there is no request to count.
    pub(crate) fn cut(&mut self) {
        self.over = true;
        if self.relief.is_some() {
            return;
        }
        self.shard().inspect(|shard| shard.cut());
        if let Some(log) = &mut self.log {
            log.cause = Some("cut");
            log.status = if self.fate.is_none() { UNANSWERED } else { log.status };
        }
        self.fate.get_or_insert(Fate { failed: false, over: 0 });
    }

    /// The answer broke after its first byte. Where the upload had broken, that is why.
    pub(crate) fn broke(&mut self) {
        self.over = true;
        if !self.upload().is_some_and(Progress::is_broken) {
            self.failed_late(Cause::BrokenBody);
        }
    }

    /// The version failed the request after its first byte.
    pub(crate) fn failed_late(&mut self, cause: Cause) {
        let Some(before) = self.fate.filter(|fate| !fate.failed) else {
            return;
        };
        let now = Fate { failed: true, over: before.over };
        if let Some(apart) = self.apart {
            self.shard().inspect(|shard| shard.apart_late(apart));
        } else {
            self.shard().inspect(|shard| shard.fail(cause));
            self.count_slower(before.over, self.track.limits.len());
        }
        if let Some((guard, bucket)) = &self.witness {
            guard.witness_late(self.side, *bucket, before, now);
        }
        self.fate = Some(now);
        if let Some(log) = &mut self.log {
            log.cause = Some(cause.name());
        }
    }

    /// Counts this request as slower than the limits from `first` up to `end`.
    fn count_slower(&self, first: usize, end: usize) {
        for limit in self.track.limits.iter().take(end).skip(first) {
            limit.slower.add(self.worker.index);
        }
    }

    /// The client took longer than a request may, which says nothing of the version.
    pub(crate) fn outlasted(&mut self) {
        self.over = true;
        if let Some(log) = &mut self.log {
            log.cause = Some("slow_client");
        }
    }

    /// A piece of the answer's body went out.
    pub(crate) const fn sent(&mut self, bytes: usize) {
        self.bytes_out = self.bytes_out.saturating_add(bytes as u64);
    }

    /// A body came that is sent along with its head.
    pub(crate) const fn received(&mut self, bytes: usize) {
        self.bytes_in = bytes as u64;
    }

    /// What passes an upgraded connection is counted here.
    pub(crate) fn tunnelled(&mut self) -> Rc<Tunnelled> {
        Rc::clone(self.tunnel.get_or_insert_default())
    }

    /// The last byte is out.
    pub(crate) fn complete(&mut self) {
        self.complete_at(Instant::now());
    }

    /// The same, by somebody who knows when.
    pub(crate) fn complete_at(&mut self, now: Instant) {
        self.over = true;
        if self.relief.is_some() || self.apart.is_some() {
            return;
        }
        let us = micros(now.saturating_duration_since(self.started));
        self.shard().inspect(|shard| shard.complete(us));
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !self.over && self.line.is_cut() {
            self.cut();
        }
        let uploaded = self.upload.as_ref().map_or(0, |upload| upload.bytes());
        let tunnelled = self.tunnel.as_ref().map(|it| (it.bytes_in.get(), it.bytes_out.get()));
        let (tunnelled_in, tunnelled_out) = tunnelled.unwrap_or_default();
        let bytes_in = tunnelled_in.saturating_add(uploaded).saturating_add(self.bytes_in);
        let bytes_out = tunnelled_out.saturating_add(self.bytes_out);
        if let Some(shard) = self.shard() {
            if self.fate.is_none() {
                shard.client_gone();
            }
            shard.end(bytes_in, bytes_out);
        }
        let relief = self.relief.as_ref().and_then(|track| track.ledger.shard(self.worker.index));
        relief.inspect(|shard| shard.end(0, 0));
        let Some(mut entry) = self.log.take() else {
            return;
        };
        if self.fate.is_none() {
            entry.status = CLIENT_GONE;
        }
        entry.us = micros(self.started.elapsed());
        (entry.bytes_in, entry.bytes_out) = (bytes_in, bytes_out);
        if let Some(log) = &self.worker.log {
            log.write(entry);
        }
    }
}
