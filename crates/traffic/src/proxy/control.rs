//! Takes snapshots, one at a time, and makes the threads serve them.

mod servable;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use rollout::route::{Generation, HealthCheck, ServiceRoute, Snapshot};
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::books::Books;
use super::door::{Door, Doors, Inside};
use super::health;
use super::listen::Order;
use super::route::{ServiceState, Slot};
use super::upstream::Upstream;
use servable::{Servable, Sockets};

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
                slot.state.store(Arc::new(ServiceState::closed(
                    state.drain,
                    state.time,
                    state.limits,
                )));
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
