//! Takes snapshots, one at a time, and makes the threads serve them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use rollout::route::{Generation, HealthCheck, ServiceRoute, Snapshot, TrackRoute};
use rollout::units::Weight;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::books::Books;
use super::door::{Door, Doors, Inside};
use super::guard::Guard;
use super::health;
use super::listen::{Order, bind};
use super::route::{Canary, Limit, ServiceState, Slot, Times, Track, fault};
use super::shield::Shield;
use super::sticky::Tie;
use super::tls::Tls;
use super::upstream::Upstream;

/// What became of a snapshot.
#[derive(Debug)]
pub enum Applied {
    /// It is in force, but for what is refused here.
    InForce(Vec<Refused>),
    /// It is not newer than what is in force, and nothing of that was refused.
    Ignored,
}

/// Why one service is not served as asked; the others are.
#[derive(Debug, Error)]
pub enum Refused {
    /// It cannot be served as it is written. What served it before goes on.
    #[error("service {service:?} {fault}")]
    Invalid {
        /// The service.
        service: String,
        /// What is wrong.
        fault: String,
    },
    /// Its address cannot be listened on. It is served where it listened before, or nowhere
    /// when it did not or another service listens there now.
    #[error("service {service:?} cannot listen on {address}: {cause}")]
    Listen {
        /// The service.
        service: String,
        /// The address, as the snapshot says.
        address: String,
        /// Why not.
        cause: io::Error,
    },
}

/// The proxy is stopping, and takes no snapshot any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the proxy is stopping")]
pub struct Stopping;

impl Refused {
    /// The service that is not served as asked.
    pub fn service(&self) -> &str {
        match self {
            Self::Invalid { service, .. } | Self::Listen { service, .. } => service,
        }
    }
}

/// What only control touches, under one lock.
#[derive(Debug)]
pub(crate) struct Control {
    workers: Vec<UnboundedSender<Order>>,
    watch: Handle,
    generation: Option<Generation>,
    doors: Doors,
    slots: BTreeMap<String, Arc<Slot>>,
    checks: BTreeMap<u64, (HealthCheck, AbortHandle)>,
    /// Some service is not served as the snapshot in force asks.
    refusing: bool,
    stopping: bool,
    published: Arc<ArcSwap<Serving>>,
}

/// What serves, for those who look at it: read without the lock, so that neither the guard
/// nor an emergency waits for a snapshot that takes its time.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    pub generation: Generation,
    pub doors: Doors,
    pub slots: BTreeMap<String, Arc<Slot>>,
    /// Why services are not served as asked, by their names.
    pub refused: BTreeMap<String, String>,
}

/// What a snapshot comes to.
#[derive(Debug, Default)]
struct Servable {
    /// Services that can be served, each where it can listen.
    routes: Vec<ServiceRoute>,
    /// What serves them.
    states: BTreeMap<String, ServiceState>,
    /// The listening sockets of doors that are to open, by address.
    sockets: BTreeMap<String, Sockets>,
    refused: Vec<Refused>,
    /// Services that go on as they are.
    kept: BTreeSet<String>,
}

/// A listening socket a thread, ready to be handed out.
type Sockets = (SocketAddr, Vec<std::net::TcpListener>);

impl Control {
    /// Nothing serves. What does later is `published`.
    pub(crate) const fn new(
        workers: Vec<UnboundedSender<Order>>,
        watch: Handle,
        published: Arc<ArcSwap<Serving>>,
    ) -> Self {
        Self {
            workers,
            watch,
            generation: None,
            doors: BTreeMap::new(),
            slots: BTreeMap::new(),
            checks: BTreeMap::new(),
            refusing: false,
            stopping: false,
            published,
        }
    }

    /// The runtime of the watch thread.
    pub(crate) fn watch(&self) -> Handle {
        self.watch.clone()
    }

    /// Takes a snapshot: everything that can be served is. One that is in force and was not
    /// served whole may come again.
    pub(crate) fn apply(
        &mut self,
        snapshot: &Snapshot,
        books: &Books,
    ) -> Result<Applied, Stopping> {
        if self.stopping {
            return Err(Stopping);
        }
        let known = self.generation;
        let again = self.refusing && known == Some(snapshot.generation);
        if known.is_some_and(|known| snapshot.generation <= known) && !again {
            return Ok(Applied::Ignored);
        }
        let mut servable = self.servable(snapshot, books);
        let before = self.serving();
        let drains = self.drains();
        self.close_left(&servable);
        for route in &servable.routes {
            if let Some(state) = servable.states.remove(&route.service) {
                self.put(route, state, servable.sockets.remove(&route.listen));
            }
        }
        self.check_upstreams(&servable);
        self.let_go(before, &drains);
        self.generation = Some(snapshot.generation);
        self.refusing = !servable.refused.is_empty();
        let reasons = servable.refused.iter().map(|it| (it.service().to_owned(), it.to_string()));
        self.published.store(Arc::new(Serving {
            generation: snapshot.generation,
            doors: self.doors.clone(),
            slots: self.slots.clone(),
            refused: reasons.collect(),
        }));
        books.prune(|service, release| self.serves(service, release));
        Ok(Applied::InForce(servable.refused))
    }

    /// Closes every door and lets every connection go.
    pub(crate) fn stop(&mut self) -> Duration {
        self.stopping = true;
        let longest = self.drains().into_values().max().unwrap_or_default();
        for door in self.doors.values() {
            door.turn(true, door.slot.load().state.load().drain);
        }
        for (_, check) in self.checks.values() {
            check.abort();
        }
        longest
    }

    /// Ends the threads.
    pub(crate) fn end(&mut self) {
        self.workers.clear();
    }

    /// What of a snapshot can be served. Changes nothing that serves.
    fn servable(&self, snapshot: &Snapshot, books: &Books) -> Servable {
        let mut servable = Servable::default();
        let asked: BTreeSet<&str> = snapshot.services.iter().map(|route| &*route.listen).collect();
        let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for route in &snapshot.services {
            let state = fault(route, &mut names, &mut addresses)
                .map_or_else(|| self.state(route, books), Err);
            match state {
                Err(fault) => {
                    servable.kept.insert(route.service.clone());
                    let service = route.service.clone();
                    servable.refused.push(Refused::Invalid { service, fault });
                }
                Ok(state) => self.admit(route, state, &asked, &mut servable),
            }
        }
        servable
    }

    /// Takes in a service that can be served, where it can listen.
    fn admit(
        &self,
        route: &ServiceRoute,
        state: ServiceState,
        asked: &BTreeSet<&str>,
        servable: &mut Servable,
    ) {
        let mut route = route.clone();
        if !self.doors.contains_key(&route.listen) {
            match bind(&route.listen, self.workers.len()) {
                Ok(sockets) => {
                    servable.sockets.insert(route.listen.clone(), sockets);
                }
                Err(cause) => {
                    let (service, address) = (route.service.clone(), route.listen.clone());
                    let held = self.doors.iter().find(|(address, door)| {
                        *door.slot.load().name == *service && !asked.contains(address.as_str())
                    });
                    let held = held.map(|(address, _)| address.clone());
                    servable.refused.push(Refused::Listen { service, address, cause });
                    let Some(held) = held else { return };
                    route.listen = held;
                }
            }
        }
        servable.states.insert(route.service.clone(), state);
        servable.routes.push(route);
    }

    /// A service as the snapshot says, made of the parts that serve already where they can
    /// stay: ledgers, upstreams with what is known of their health, the guard.
    fn state(&self, route: &ServiceRoute, books: &Books) -> Result<ServiceState, String> {
        let serving = self.slots.get(&route.service).map(|slot| slot.state.load_full());
        let track =
            |track: &TrackRoute| Arc::new(self.track(route, track, serving.as_deref(), books));
        let tie = Tie::new(&route.sticky)?;
        let canary = route.canary.as_ref().map(|canary| Canary {
            track: track(&canary.track),
            weight: canary.weight,
            salt: canary.salt.clone(),
            guard: self.guard(canary, serving.as_deref()),
        });
        let (tls, tls_fault) = tls(route, serving.as_deref())?;
        Ok(ServiceState {
            stable: route.stable.as_ref().map(track),
            canary,
            tie,
            time: Times::of(route),
            shield: route.shield.as_ref().map(Shield::of),
            drain: route.drain.to_std(),
            tls,
            tls_fault,
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

    /// Closes the doors and empties the slots that are not to serve.
    fn close_left(&mut self, servable: &Servable) {
        let (routes, kept) = (&servable.routes, &servable.kept);
        self.doors.retain(|address, door| {
            let stays = kept.contains(&*door.slot.load().name)
                || routes.iter().any(|route| route.listen == *address);
            if !stays {
                door.turn(true, door.slot.load().state.load().drain);
            }
            stays
        });
        self.slots.retain(|name, slot| {
            let stays = kept.contains(name) || routes.iter().any(|route| route.service == *name);
            if !stays {
                let state = slot.state.load();
                slot.state.store(Arc::new(ServiceState::closed(state.drain, state.time)));
            }
            stays
        });
    }

    /// Puts a service into force.
    fn put(&mut self, route: &ServiceRoute, state: ServiceState, sockets: Option<Sockets>) {
        let (drain, state) = (state.drain, Arc::new(state));
        let slot = if let Some(slot) = self.slots.get(&route.service) {
            slot.state.store(state);
            Arc::clone(slot)
        } else {
            let slot = Arc::new(Slot {
                name: Arc::from(route.service.as_str()),
                state: ArcSwap::new(state),
                unserved: AtomicU64::new(0),
            });
            self.slots.insert(route.service.clone(), Arc::clone(&slot));
            slot
        };
        if let Some((bound, listeners)) = sockets {
            let door = Arc::new(Door::new(bound, slot));
            for (worker, listener) in self.workers.iter().zip(listeners) {
                let _ = worker.send(Order::Listen(Inside::new(&door), listener));
            }
            self.doors.insert(route.listen.clone(), door);
        } else if let Some(door) = self.doors.get(&route.listen)
            && !Arc::ptr_eq(&door.slot.load(), &slot)
        {
            door.slot.store(slot);
            door.turn(false, drain);
        }
    }

    /// Starts the checks of upstreams that are new or checked differently, ends the others.
    fn check_upstreams(&mut self, servable: &Servable) {
        let mut before = std::mem::take(&mut self.checks);
        for (name, slot) in &self.slots {
            let route = servable.routes.iter().find(|route| route.service == *name);
            let asked = route.map(|route| &route.health);
            for upstream in slot.state.load().upstreams() {
                // The same release may be on both tracks.
                if self.checks.contains_key(&upstream.id) {
                    continue;
                }
                let stays = |(check, _): &(HealthCheck, AbortHandle)| {
                    asked.is_none_or(|asked| asked == check)
                };
                let kept = before.remove(&upstream.id).filter(stays);
                let fresh = || {
                    let check = asked?.clone();
                    let task = self.watch.spawn(health::watch(Arc::clone(upstream), check.clone()));
                    Some((check, task.abort_handle()))
                };
                if let Some(check) = kept.or_else(fresh) {
                    self.checks.insert(upstream.id, check);
                }
            }
        }
        for (_, task) in before.into_values() {
            task.abort();
        }
    }

    /// Every upstream that serves, with its service.
    fn serving(&self) -> Vec<(String, Arc<Upstream>)> {
        let each = self.slots.iter().flat_map(|(name, slot)| {
            let state = slot.state.load_full();
            let upstreams: Vec<_> = state.upstreams().map(Arc::clone).collect();
            upstreams.into_iter().map(|upstream| (name.clone(), upstream))
        });
        each.collect()
    }

    /// Whether a release is stable or canary of a service.
    fn serves(&self, service: &str, release: &str) -> bool {
        let state = self.slots.get(service).map(|slot| slot.state.load());
        state.is_some_and(|state| state.tracks().any(|track| *track.release == *release))
    }

    fn drains(&self) -> BTreeMap<String, Duration> {
        self.slots.iter().map(|(name, slot)| (name.clone(), slot.state.load().drain)).collect()
    }

    /// Lets the upstreams go that served before and do not now.
    fn let_go(&self, before: Vec<(String, Arc<Upstream>)>, drains: &BTreeMap<String, Duration>) {
        let now: BTreeSet<u64> =
            self.serving().into_iter().map(|(_, upstream)| upstream.id).collect();
        let mut left: BTreeMap<String, Vec<Arc<Upstream>>> = BTreeMap::new();
        for (service, upstream) in before {
            if !now.contains(&upstream.id) {
                upstream.leave();
                left.entry(service).or_default().push(upstream);
            }
        }
        for (service, upstreams) in left {
            let drain = drains.get(&service).copied().unwrap_or_default();
            let cut_at = Instant::now().checked_add(drain).unwrap_or_else(Instant::now);
            for worker in &self.workers {
                let _ = worker.send(Order::Leave(upstreams.clone(), cut_at));
            }
        }
    }
}

/// What the door of a service shows, and why that is not what the route asks for. A service
/// that serves goes on as before while its pair cannot be used.
fn tls(
    route: &ServiceRoute,
    serving: Option<&ServiceState>,
) -> Result<(Option<Arc<Tls>>, Option<String>), String> {
    let Some(asked) = &route.door.tls else {
        return Ok((None, None));
    };
    let before = serving.and_then(|state| state.tls.as_ref());
    if let Some(same) = before.filter(|tls| tls.route == *asked) {
        same.look();
        return Ok((Some(Arc::clone(same)), None));
    }
    let fault = match Tls::open(asked) {
        Ok(tls) => return Ok((Some(Arc::new(tls)), None)),
        Err(fault) => fault,
    };
    if serving.is_none() {
        let fault = format!("cannot speak TLS: {fault}");
        return Err(fault);
    }
    tracing::warn!(service = route.service, fault, "the door stays as it was");
    Ok(match before {
        Some(before) => (Some(Arc::new(before.standing_in(asked, fault))), None),
        None => (None, Some(fault)),
    })
}
