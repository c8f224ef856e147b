//! What serves now: the snapshot, checked and made ready for the request path.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use rollout::route::{Bad, Balance, Limits, Route, ServiceRoute, TrackRoute, conflict};
use rollout::units::Weight;

use super::apart::Chosen;
use super::count::{Ledger, Sharded};
use super::guard::Guard;
use super::shield::{Cover, Shield};
use super::sticky::Tie;
use super::tls::Tls;
use super::upstream::{Health, Upstream};

/// One service for as long as it is served; what serves it is swapped as a whole.
#[derive(Debug)]
pub(crate) struct Slot {
    pub name: Arc<str>,
    pub state: ArcSwap<ServiceState>,
    /// Requests that no release could serve.
    pub unserved: AtomicU64,
}

/// One service at one generation. Immutable but for what its parts count and observe.
#[derive(Debug)]
pub(crate) struct ServiceState {
    /// The address it is behind.
    pub listen: String,
    /// Which requests there it is for.
    pub route: Route,
    pub stable: Option<Arc<Track>>,
    pub canary: Option<Canary>,
    pub tie: Tie,
    /// Who is on a side whatever the bucket.
    pub chosen: Chosen,
    pub time: Times,
    /// How long a whole request may take.
    pub total: Option<Duration>,
    pub shield: Option<Shield>,
    pub drain: Duration,
    /// What is shown to clients that speak TLS; `None` speaks without.
    pub tls: Option<Arc<Tls>>,
    /// Who names the client in a header of the PROXY protocol.
    pub proxy_protocol_from: Vec<IpNet>,
    /// How large requests may be.
    pub limits: Limits,
    /// Whose word on the client is taken.
    pub forwarded_from: Vec<IpNet>,
    pub limits_us: Vec<u64>,
}

/// How long each part of a request may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub head: Duration,
    pub connect: Duration,
    pub first_byte: Duration,
    pub idle: Duration,
}

/// A release and where it is served.
#[derive(Debug)]
pub(crate) struct Track {
    pub release: Arc<str>,
    pub upstreams: Vec<Arc<Upstream>>,
    pub balance: Balance,
    /// Whose turn it is, where they take turns.
    pub turn: AtomicUsize,
    pub ledger: Arc<Ledger>,
    /// Ascending.
    pub limits: Vec<Limit>,
}

/// The exact count of requests slower than a limit.
#[derive(Debug)]
pub(crate) struct Limit {
    pub us: u64,
    pub slower: Arc<Sharded>,
}

/// The new release, its share as asked, and its guard.
#[derive(Debug)]
pub(crate) struct Canary {
    pub track: Arc<Track>,
    pub weight: Weight,
    /// Of how many safe requests that stable answers it gets a copy.
    pub mirror: Weight,
    pub salt: String,
    pub guard: Arc<Guard>,
    pub lost: Lost,
}

/// Whether the canary's share is stable's since no controller has been heard of for too long.
#[derive(Debug)]
pub(crate) struct Lost {
    pub is: Arc<AtomicBool>,
    pub stable: Option<Arc<Track>>,
}

impl Lost {
    /// Stable that does not serve well is no better place.
    pub(crate) fn is_lost(&self) -> bool {
        self.is.load(Ordering::Relaxed) && self.stable.as_ref().is_some_and(|it| it.is_healthy())
    }
}

impl Track {
    /// Whether any upstream answers its checks well.
    pub(crate) fn is_healthy(&self) -> bool {
        self.upstreams.iter().any(|upstream| upstream.health() == Health::Healthy)
    }
}

impl ServiceState {
    /// Every track that serves or may serve.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = &Arc<Track>> {
        self.stable.iter().chain(self.canary.iter().map(|canary| &canary.track))
    }

    /// Who answers what the canary fails; `None` when nobody does.
    pub(crate) fn cover(&self) -> Option<Cover> {
        let stable = self.stable.as_ref().filter(|stable| !stable.upstreams.is_empty())?;
        Some(Cover { stable: Arc::clone(stable), shield: self.shield? })
    }

    /// Every upstream of every track.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.tracks().flat_map(|track| &track.upstreams)
    }

    /// No release serves and none is to. Who is still at the door is heard as before.
    pub(crate) const fn closed(drain: Duration, time: Times, limits: Limits) -> Self {
        Self {
            listen: String::new(),
            route: Route { hosts: Vec::new(), paths: Vec::new() },
            stable: None,
            canary: None,
            tie: Tie::Address,
            chosen: Chosen::none(),
            time,
            total: None,
            shield: None,
            drain,
            tls: None,
            proxy_protocol_from: Vec::new(),
            limits,
            forwarded_from: Vec::new(),
            limits_us: Vec::new(),
        }
    }
}

impl Times {
    /// As the route says.
    pub(crate) const fn of(route: &ServiceRoute) -> Self {
        let times = &route.timeouts;
        Self {
            head: times.head.to_std(),
            connect: times.connect.to_std(),
            first_byte: times.first_byte.to_std(),
            idle: times.idle.to_std(),
        }
    }
}

/// The first thing in a route that cannot be served beside `others`, those before it in the
/// snapshot.
pub(crate) fn fault(route: &ServiceRoute, others: &[&ServiceRoute]) -> Option<String> {
    if others.iter().any(|other| other.service == route.service) {
        return Some("is named twice".to_owned());
    }
    let at_odds = others.iter().find_map(|other| Some((&other.service, at_odds(route, other)?)));
    let fault =
        at_odds.map(|(other, why)| format!("cannot share {} with {other:?}: {why}", route.listen));
    fault.or_else(|| route.route.fault()).or_else(|| service_fault(route))
}

/// Why two services cannot be served at once; `None` when they can.
pub(crate) fn at_odds(one: &ServiceRoute, other: &ServiceRoute) -> Option<String> {
    let shared = one.listen == other.listen;
    let sides = ((&one.door, &one.route), (&other.door, &other.route));
    shared.then(|| conflict(sides.0, sides.1)).flatten()
}

fn service_fault(route: &ServiceRoute) -> Option<String> {
    let tracks = route.stable.iter().chain(route.canary.as_ref().map(|canary| &canary.track));
    let limits = &route.latency_limits_us;
    if !limits.is_sorted_by(|a, b| a < b) {
        return Some(format!("latency limits {limits:?} are not ascending"));
    }
    if !route.health.path.starts_with('/')
        || http::uri::PathAndQuery::try_from(&*route.health.path).is_err()
    {
        return Some(format!("health path {:?} is no path that starts with /", route.health.path));
    }
    if route.health.healthy_after == 0 || route.health.unhealthy_after == 0 {
        return Some("healthy_after and unhealthy_after start at 1".to_owned());
    }
    let rules = route.canary.iter().flat_map(|canary| &canary.trips);
    let beyond = rules.filter_map(|rule| match rule.bad {
        Bad::SlowerThan(limit) if limit >= limits.len() => Some((&rule.gate, limit)),
        Bad::SlowerThan(_) | Bad::Failed => None,
    });
    if let Some((gate, limit)) = beyond.into_iter().next() {
        return Some(format!("gate {gate:?} names latency limit {limit} of {}", limits.len()));
    }
    tracks
        .into_iter()
        .find_map(track_fault)
        .or_else(|| Tie::new(&route.sticky).err())
        .or_else(|| Chosen::of(route).err())
}

fn track_fault(track: &TrackRoute) -> Option<String> {
    let malformed = track.upstreams.iter().find(|address| {
        let port =
            address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        port.and_then(|port| port.parse::<u16>().ok()).is_none_or(|port| port == 0)
    })?;
    Some(format!("upstream {malformed:?} of release {:?} is no host:port", track.release))
}
