//! What serves now, as others are told.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use rollout::route::Generation;
use rollout::units::Weight;
use serde::{Deserialize, Serialize};

use super::route::{Canary, ServiceState, Track};
use super::upstream::Health;

/// What serves now, which need not be what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Differs each time a proxy starts.
    pub instance: u64,
    /// The snapshot in force.
    pub generation: Generation,
    /// By service name. A service that left stays while requests to it are in flight.
    pub services: BTreeMap<String, ObservedService>,
    /// Why services are not served as the snapshot asks, by their names.
    #[serde(default)]
    pub refused: BTreeMap<String, String>,
}

/// What serves one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedService {
    /// Where it listens; `None` once it left.
    pub listening: Option<SocketAddr>,
    /// Why its TLS certificate is not the one asked for: one from before is shown meanwhile, or
    /// none, and then connections are closed.
    #[serde(default)]
    pub tls_fault: Option<String>,
    /// The release that serves today.
    pub stable: Option<String>,
    /// The release being rolled out.
    pub canary: Option<String>,
    /// The canary's weight as asked.
    pub weight_asked: Weight,
    /// The canary's weight as it is: zero while its share is withheld.
    pub weight_in_force: Weight,
    /// Why the share is withheld; `None` when it is not.
    pub withheld: Option<Withheld>,
    /// Every upstream of both tracks.
    pub upstreams: Vec<ObservedUpstream>,
    /// Requests and upgraded connections in flight, by release id; releases that left are
    /// listed until theirs are done.
    pub in_flight: BTreeMap<String, u64>,
}

/// Why the canary gets less than was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    /// The guard, or somebody by hand, shut it out in this stretch of traffic.
    Tripped {
        /// The guard key of the stretch.
        guard_key: String,
    },
    /// None of its upstreams answers its health checks.
    NoHealthyUpstream,
    /// No controller has been heard of for longer than this proxy serves a canary without one.
    LostController,
}

/// One upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedUpstream {
    /// The release it serves.
    pub release: String,
    /// `host:port`.
    pub address: String,
    /// What its checks say.
    pub health: Health,
    /// Left out for a while, since it failed requests while others of its release did not.
    #[serde(default)]
    pub left_out: bool,
}

impl ObservedService {
    /// Of a service in this state; where it listens and what is in flight is added later.
    pub(crate) fn of(state: &ServiceState) -> Self {
        let canary = state.canary.as_ref();
        let name = |track: &std::sync::Arc<Track>| track.release.to_string();
        Self {
            listening: None,
            tls_fault: state.tls.as_ref().and_then(|tls| tls.fault()),
            stable: state.stable.as_ref().map(name),
            canary: canary.map(|canary| name(&canary.track)),
            weight_asked: canary.map_or(Weight::ZERO, |canary| canary.weight),
            weight_in_force: canary.map_or(Weight::ZERO, Canary::weight_in_force),
            withheld: canary.and_then(withheld),
            upstreams: state.tracks().flat_map(upstreams).collect(),
            in_flight: BTreeMap::new(),
        }
    }
}

fn withheld(canary: &Canary) -> Option<Withheld> {
    if canary.guard.is_shut() {
        Some(Withheld::Tripped { guard_key: canary.guard.key().to_owned() })
    } else {
        let why = if canary.lost.is_lost() {
            Withheld::LostController
        } else if canary.track.is_healthy() {
            return None;
        } else {
            Withheld::NoHealthyUpstream
        };
        (canary.weight > Weight::ZERO).then_some(why)
    }
}

fn upstreams(track: &std::sync::Arc<Track>) -> impl Iterator<Item = ObservedUpstream> {
    track.upstreams.iter().map(|upstream| ObservedUpstream {
        release: track.release.to_string(),
        address: upstream.address.to_string(),
        health: upstream.health(),
        left_out: upstream.standing.is_out(),
    })
}
