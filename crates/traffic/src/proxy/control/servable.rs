//! What of a snapshot can be served, found out before anything that serves is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use rollout::route::{ServiceRoute, Snapshot, TrackRoute};
use rollout::units::{Millis, Weight};

use super::super::apart::Chosen;
use super::super::books::Books;
use super::super::guard::Guard;
use super::super::handover::Listening;
use super::super::listen::bind;
use super::super::route::{Canary, Limit, Lost, ServiceState, Times, Track, at_odds, fault};
use super::super::shield::Shield;
use super::super::sticky::Tie;
use super::super::tls::Tls;
use super::super::upstream::Upstream;
use super::{Control, Refused};

/// What a snapshot comes to.
#[derive(Debug, Default)]
pub(super) struct Servable {
    /// Services that can be served, each where it can listen.
    pub routes: Vec<ServiceRoute>,
    /// What serves them.
    pub states: BTreeMap<String, ServiceState>,
    /// The listening sockets of doors that are to open, by address.
    pub sockets: BTreeMap<String, Listening>,
    pub refused: Vec<Refused>,
    /// Services that go on as they are.
    pub kept: BTreeSet<String>,
}

impl Servable {
    fn take_in(&mut self, route: ServiceRoute, state: ServiceState) {
        let state = ServiceState { listen: route.listen.clone(), ..state };
        self.states.insert(route.service.clone(), state);
        self.routes.push(route);
    }
}

impl Control {
    /// What of a snapshot can be served. Changes nothing that serves.
    pub(super) fn servable(&self, snapshot: &Snapshot, books: &Books) -> Servable {
        let mut servable = Servable::default();
        let (mut before, mut held) = (Vec::new(), Vec::new());
        for route in &snapshot.services {
            let state = fault(route, &before).map_or_else(|| self.state(route, books), Err);
            match state {
                Err(fault) => {
                    servable.kept.insert(route.service.clone());
                    let service = route.service.clone();
                    servable.refused.push(Refused::Invalid { service, fault });
                }
                Ok(state) => {
                    before.push(route);
                    match self.opens(route, &mut servable) {
                        Ok(()) => servable.take_in(route.clone(), state),
                        Err(cause) => {
                            let (service, address) = (route.service.clone(), route.listen.clone());
                            servable.refused.push(Refused::Listen { service, address, cause });
                            held.push((route, state));
                        }
                    }
                }
            }
        }
        for (route, state) in held {
            self.hold(route, state, &mut servable);
        }
        servable
    }

    /// Sees to it that a service can listen where it is to.
    fn opens(&self, route: &ServiceRoute, servable: &mut Servable) -> io::Result<()> {
        if !self.doors.contains_key(&route.listen) && !servable.sockets.contains_key(&route.listen)
        {
            let sockets = self.open(&route.listen)?;
            servable.sockets.insert(route.listen.clone(), sockets);
        }
        Ok(())
    }

    /// Takes in a service that cannot listen where it is to, where it listens now, unless
    /// those that are to be there are at odds with it.
    fn hold(&self, route: &ServiceRoute, state: ServiceState, servable: &mut Servable) {
        let Some(slot) = self.slots.get(&route.service) else { return };
        let listen = slot.state.load().listen.clone();
        let route = ServiceRoute { listen, ..route.clone() };
        if servable.routes.iter().all(|other| at_odds(&route, other).is_none()) {
            servable.take_in(route, state);
        }
    }

    /// Sockets for an address: those another process has handed over, or new ones.
    fn open(&self, address: &str) -> io::Result<Listening> {
        if self.handed_over {
            return Err(io::Error::other("another process has taken over"));
        }
        if let Some(inherited) = self.sockets.get(address) {
            return inherited.again(self.workers.len());
        }
        let own: Vec<u16> = self.doors.values().map(|door| door.bound.port()).collect();
        bind(address, self.workers.len(), &own)
    }

    /// A service as the snapshot says, made of the parts that serve already where they can
    /// stay: ledgers, upstreams with what is known of their health, the guard.
    fn state(&self, route: &ServiceRoute, books: &Books) -> Result<ServiceState, String> {
        let serving = self.slots.get(&route.service).map(|slot| slot.state.load_full());
        let track =
            |track: &TrackRoute| Arc::new(self.track(route, track, serving.as_deref(), books));
        let tie = Tie::new(&route.sticky)?;
        let stable = route.stable.as_ref().map(track);
        let canary = route.canary.as_ref().map(|canary| Canary {
            track: track(&canary.track),
            weight: canary.weight,
            mirror: canary.mirror,
            salt: canary.salt.clone(),
            guard: self.guard(canary, serving.as_deref()),
            lost: Lost { is: Arc::clone(&self.lost), stable: stable.clone() },
        });
        Ok(ServiceState {
            listen: route.listen.clone(),
            route: route.route.clone(),
            stable,
            canary,
            tie,
            chosen: Chosen::of(route)?,
            time: Times::of(route),
            total: route.timeouts.total.map(Millis::to_std),
            shield: route.shield.as_ref().map(Shield::of),
            drain: route.drain.to_std(),
            tls: tls(route, serving.as_deref())?,
            proxy_protocol_from: route.door.proxy_protocol_from.clone(),
            forwarded_from: route.door.forwarded_from.clone(),
            limits: route.door.limits,
            limits_us: route.latency_limits_us.clone(),
        })
    }

    fn track(
        &self,
        route: &ServiceRoute,
        track: &TrackRoute,
        serving: Option<&ServiceState>,
        books: &Books,
    ) -> Track {
        let known = |address: &str| {
            let mut tracks = serving.iter().flat_map(|state| state.tracks());
            let same = tracks.find(|known| *known.release == *track.release)?;
            same.upstreams
                .iter()
                .find(|upstream| {
                    *upstream.address == *address && upstream.protocol == track.protocol
                })
                .map(Arc::clone)
        };
        let upstream = |address: &String| {
            known(address).unwrap_or_else(|| Arc::new(Upstream::new(address, track.protocol)))
        };
        let mut once: Vec<&String> = Vec::with_capacity(track.upstreams.len());
        for address in &track.upstreams {
            if !once.contains(&address) {
                once.push(address);
            }
        }
        let ledger = books.ledger(&route.service, &track.release, self.workers.len());
        let limit = |&us: &u64| Limit { us, slower: ledger.limit(us) };
        Track {
            release: Arc::from(track.release.as_str()),
            upstreams: once.into_iter().map(upstream).collect(),
            balance: route.balance,
            turn: AtomicUsize::new(0),
            limits: route.latency_limits_us.iter().map(limit).collect(),
            ledger,
        }
    }

    /// The guard that watches already, unless another stretch begins. A snapshot of weight
    /// zero ends a trip.
    fn guard(
        &self,
        canary: &rollout::route::CanaryRoute,
        serving: Option<&ServiceState>,
    ) -> Arc<Guard> {
        let known = serving.and_then(|state| state.canary.as_ref()).map(|serving| &serving.guard);
        let stays = known.filter(|guard| {
            let cleared = guard.is_shut() && canary.weight == Weight::ZERO;
            guard.watches(&canary.guard_key, &canary.trips) && !cleared
        });
        let began = std::time::Instant::now();
        let fresh = || Guard::new(&canary.guard_key, &canary.trips, self.workers.len(), began);
        stays.map_or_else(|| Arc::new(fresh()), Arc::clone)
    }
}

/// What the door of a service shows. A service that serves goes on while its pair cannot be
/// used; one that does not is refused.
fn tls(route: &ServiceRoute, serving: Option<&ServiceState>) -> Result<Option<Arc<Tls>>, String> {
    let Some(asked) = &route.door.tls else {
        return Ok(None);
    };
    let before = serving.and_then(|state| state.tls.as_ref());
    if let Some(same) = before.filter(|tls| tls.route == *asked) {
        same.look();
        return Ok(Some(Arc::clone(same)));
    }
    let tls = Tls::open(asked, before.map(AsRef::as_ref));
    if let Some(fault) = tls.fault() {
        if serving.is_none() {
            return Err(format!("cannot speak TLS: {fault}"));
        }
        let shown = before.map_or("none is shown", |_| "the one from before is shown on");
        tracing::warn!(service = route.service, fault, "the certificate cannot be used: {shown}");
    }
    Ok(Some(Arc::new(tls)))
}
