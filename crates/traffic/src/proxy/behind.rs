//! Who is behind a door, which of them a request is for, and how its connections are taken in.

use std::sync::Arc;
use std::time::Duration;

use http::header::HOST;
use http::request::Parts;
use ipnet::IpNet;
use rollout::route::Route;
use rustls::ServerConfig;

use super::by_host::{ByHost, bare};
use super::route::{ServiceState, Slot};
use super::spelling;
use super::tls::Tls;

/// The services of one door at one generation.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    pub slots: Vec<Arc<Slot>>,
    ways: ByHost<Vec<Way>>,
    /// Whether a path decides anything.
    by_path: bool,
    /// How connections are taken in.
    pub entrance: Entrance,
}

/// A path and the service that it and all below it is for.
#[derive(Debug)]
struct Way {
    path: Box<str>,
    slot: Arc<Slot>,
}

/// Why a request is for no service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// There is none for its host and path.
    Nowhere,
    /// Its path can be read in several ways that lead to several services.
    Doubtful,
}

/// How connections are taken in, before it is known what they ask for.
#[derive(Debug, Default)]
pub(crate) struct Entrance {
    pub bounds: Bounds,
    pub proxy_protocol_from: Vec<IpNet>,
    pub forwarded_from: Vec<IpNet>,
    /// What is shown to clients that speak TLS; `None` speaks without.
    pub tls: Option<Certificates>,
}

/// What a connection may take: the most that any of the services grants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// Longest wait for a head.
    pub head: Duration,
    /// Longest silence.
    pub idle: Duration,
    /// Largest head in bytes.
    pub head_bytes: u32,
    /// Most header fields.
    pub fields: u32,
}

/// The certificates of one door, by the host a client asks for.
#[derive(Debug)]
pub(crate) struct Certificates {
    hosts: ByHost<Arc<Tls>>,
    /// For those who ask for no host, or for one that nobody has.
    first: Arc<Tls>,
    /// Whether it matters what a client asks for.
    several: bool,
}

impl Behind {
    /// These services. Where two are for the same requests the first one gets them.
    pub(crate) fn new(slots: Vec<Arc<Slot>>) -> Self {
        let mut behind = Self::default();
        for slot in &slots {
            let state = slot.state.load();
            behind.lead(&state.route, slot);
            behind.entrance.widen(&state);
        }
        for ways in behind.ways.values_mut() {
            ways.sort_by_key(|way| std::cmp::Reverse(way.path.len()));
        }
        behind.slots = slots;
        behind
    }

    fn lead(&mut self, route: &Route, slot: &Arc<Slot>) {
        self.by_path |= route.paths().any(|path| path != "/");
        for host in route.hosts() {
            let ways = self.ways.entry(host, Vec::new);
            for path in route.paths() {
                if !ways.iter().any(|way| *way.path == *path) {
                    ways.push(Way { path: Box::from(path), slot: Arc::clone(slot) });
                }
            }
        }
    }

    /// The service a request with this head is for.
    ///
    /// # Errors
    /// When it is for none.
    pub(crate) fn find(&self, head: &Parts) -> Result<&Arc<Slot>, Lost> {
        let path = head.uri.path();
        if self.ways.is_for_any() && !self.by_path {
            return self.at("", path.as_bytes()).ok_or(Lost::Nowhere);
        }
        let host =
            head.headers.get(HOST).and_then(|host| std::str::from_utf8(host.as_bytes()).ok());
        let host = bare(host.unwrap_or_default());
        let found = self.at(&host, path.as_bytes());
        if self.by_path {
            let read = spelling::second(path).map_err(|_| Lost::Doubtful)?;
            let name = |slot: Option<&Arc<Slot>>| slot.map(Arc::as_ptr);
            if *read != *path.as_bytes() && name(self.at(&host, &read)) != name(found) {
                return Err(Lost::Doubtful);
            }
        }
        found.ok_or(Lost::Nowhere)
    }

    fn at(&self, host: &str, path: &[u8]) -> Option<&Arc<Slot>> {
        let mut ways = self.ways.of(host).flatten();
        ways.find(|way| way.leads(path)).map(|way| &way.slot)
    }

    /// The longest drain of its services.
    pub(crate) fn drain(&self) -> Duration {
        let drains = self.slots.iter().map(|slot| slot.state.load().drain);
        drains.max().unwrap_or_default()
    }

    /// Whether one of the services of `other` is here, too.
    pub(crate) fn shares_with(&self, other: &Self) -> bool {
        let here = |slot: &Arc<Slot>| self.slots.iter().any(|own| Arc::ptr_eq(own, slot));
        other.slots.iter().any(here)
    }
}

impl Way {
    fn leads(&self, path: &[u8]) -> bool {
        let below = |rest: &[u8]| rest.first().is_none_or(|&byte| byte == b'/');
        *self.path == *"/" || path.strip_prefix(self.path.as_bytes()).is_some_and(below)
    }
}

impl Entrance {
    /// As wide as one more service needs. Who is believed is the same for all of them.
    fn widen(&mut self, state: &ServiceState) {
        self.bounds = Bounds {
            head: self.bounds.head.max(state.time.head),
            idle: self.bounds.idle.max(state.time.idle),
            head_bytes: self.bounds.head_bytes.max(state.limits.head),
            fields: self.bounds.fields.max(state.limits.fields),
        };
        if self.proxy_protocol_from.is_empty() {
            self.proxy_protocol_from.clone_from(&state.proxy_protocol_from);
        }
        if self.forwarded_from.is_empty() {
            self.forwarded_from.clone_from(&state.forwarded_from);
        }
        let Some(tls) = &state.tls else { return };
        let certificates = self.tls.get_or_insert_with(|| Certificates::new(tls));
        certificates.several |= certificates.first.route != tls.route;
        for host in state.route.hosts() {
            certificates.hosts.entry(host, || Arc::clone(tls));
        }
    }
}

impl Entrance {
    /// Whether connections are taken in as before, whatever they may take.
    pub(crate) fn is_like(&self, before: &Self) -> bool {
        let shown = |entrance: &Self| {
            entrance.tls.as_ref().map(|tls| (tls.several, tls.first.route.clone()))
        };
        shown(self) == shown(before)
            && self.proxy_protocol_from == before.proxy_protocol_from
            && self.forwarded_from == before.forwarded_from
    }
}

impl Certificates {
    /// This one for everybody.
    pub(crate) fn new(tls: &Arc<Tls>) -> Self {
        Self { hosts: ByHost::default(), first: Arc::clone(tls), several: false }
    }

    /// Whether every client is shown the same.
    pub(crate) const fn is_one(&self) -> bool {
        !self.several
    }

    /// What a client that asks for `host` is shown; `None` while there is nothing to show.
    pub(crate) fn of(&self, host: Option<&str>) -> Option<Arc<ServerConfig>> {
        let host = bare(host.unwrap_or_default());
        self.hosts.of(&host).next().unwrap_or(&self.first).config()
    }
}

#[cfg(test)]
mod tests;
