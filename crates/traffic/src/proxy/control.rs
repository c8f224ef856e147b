//! Takes snapshots, one at a time, and makes the threads serve them.

mod servable;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use arc_swap::ArcSwap;
use rollout::route::{Generation, HealthCheck, Snapshot};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::behind::Behind;
use super::books::Books;
use super::door::{Door, Doors, Inside};
use super::handover::Listening;
use super::health;
use super::listen::Order;
use super::route::{ServiceState, Slot};
use super::upstream::Upstream;
use servable::Servable;

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
    /// when it did not or what is to be there now leaves no room for it.
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
    /// The listening sockets once more, by the address asked for: of the doors, and before the
    /// first snapshot those another process has handed over. Held so that they can be handed over.
    sockets: BTreeMap<String, Listening>,
    slots: BTreeMap<String, Arc<Slot>>,
    checks: BTreeMap<u64, (HealthCheck, AbortHandle)>,
    /// Some service is not served as the snapshot in force asks.
    refusing: bool,
    stopping: bool,
    /// Another process accepts from the sockets; what is open here comes to its end.
    pub(super) handed_over: bool,
    published: Arc<ArcSwap<Serving>>,
    /// No controller has been heard of for too long; set from outside.
    lost: Arc<AtomicBool>,
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

impl Control {
    /// Nothing serves. What does later is `published`.
    pub(crate) fn new(
        workers: Vec<UnboundedSender<Order>>,
        watch: Handle,
        published: Arc<ArcSwap<Serving>>,
        lost: Arc<AtomicBool>,
        sockets: BTreeMap<String, Listening>,
    ) -> Self {
        Self {
            workers,
            watch,
            generation: None,
            doors: BTreeMap::new(),
            sockets,
            slots: BTreeMap::new(),
            checks: BTreeMap::new(),
            refusing: false,
            stopping: false,
            handed_over: false,
            published,
            lost,
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
        for (service, state) in std::mem::take(&mut servable.states) {
            self.put(&service, state);
        }
        let left = self.take_left(&servable);
        self.arrange_doors(&mut servable);
        for slot in left {
            let state = slot.state.load();
            let closed = ServiceState::closed(state.drain, state.time, state.limits);
            slot.state.store(Arc::new(closed));
        }
        self.sockets.retain(|address, _| self.doors.contains_key(address));
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
        self.sockets.clear();
        let longest = self.drains().into_values().max().unwrap_or_default();
        for door in self.doors.values() {
            door.close();
        }
        for (_, check) in self.checks.values() {
            check.abort();
        }
        longest
    }

    /// Closes every door because another process has the sockets, and lets every connection go.
    /// Requests on connections that are open still go where snapshots say.
    pub(crate) fn hand_over(&mut self) -> Duration {
        self.handed_over = true;
        self.sockets.clear();
        for door in self.doors.values() {
            door.hand_over();
        }
        self.drains().into_values().max().unwrap_or_default()
    }

    /// The listening sockets once more, by the address asked for.
    pub(crate) fn listening(&self) -> io::Result<BTreeMap<String, Listening>> {
        let each = self.sockets.iter();
        each.map(|(address, sockets)| Ok((address.clone(), sockets.duplicate()?))).collect()
    }

    /// Ends the threads.
    pub(crate) fn end(&mut self) {
        self.workers.clear();
    }

    /// Takes out the services that are not to serve.
    fn take_left(&mut self, servable: &Servable) -> Vec<Arc<Slot>> {
        let stays = |name: &str| servable.kept.contains(name) || is_asked(servable, name);
        let left = self.slots.extract_if(.., |name, _| !stays(name));
        left.map(|(_, slot)| slot).collect()
    }

    /// Puts a service into force.
    fn put(&mut self, service: &str, state: ServiceState) {
        let state = Arc::new(state);
        if let Some(slot) = self.slots.get(service) {
            return slot.state.store(state);
        }
        let (name, state) = (Arc::from(service), ArcSwap::new(state));
        let slot = Arc::new(Slot { name, state, unserved: AtomicU64::new(0) });
        self.slots.insert(service.to_owned(), slot);
    }

    /// Opens, arranges and closes doors as the services in force ask. One that goes on as it
    /// is gives way where another is for the same requests.
    fn arrange_doors(&mut self, servable: &mut Servable) {
        let (kept, asked): (Vec<_>, Vec<_>) =
            self.slots.iter().partition(|(name, _)| !is_asked(servable, name));
        let mut places: BTreeMap<String, Vec<Arc<Slot>>> = BTreeMap::new();
        for (_, slot) in asked.into_iter().chain(kept) {
            let place = places.entry(slot.state.load().listen.clone()).or_default();
            place.push(Arc::clone(slot));
        }
        self.doors.retain(|address, door| {
            let stays = places.contains_key(address);
            if !stays {
                door.close();
            }
            stays
        });
        for (address, slots) in places {
            let behind = Arc::new(Behind::new(slots));
            if let Some(door) = self.doors.get(&address) {
                door.arrange(behind);
            } else if let Some(listening) = servable.sockets.remove(&address) {
                let door = Arc::new(Door::new(listening.bound, behind));
                match listening.duplicate() {
                    Ok(held) => drop(self.sockets.insert(address.clone(), held)),
                    Err(error) => {
                        tracing::warn!(%error, address, "cannot be handed over later");
                    }
                }
                for (worker, listener) in self.workers.iter().cycle().zip(listening.sockets) {
                    let _ = worker.send(Order::Listen(Inside::new(&door), listener));
                }
                self.doors.insert(address, door);
            }
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

/// Whether the snapshot that comes into force says how this service is served.
fn is_asked(servable: &Servable, service: &str) -> bool {
    servable.routes.iter().any(|route| route.service == *service)
}
