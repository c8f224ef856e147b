//! What the data plane is told: who serves a service, who may meet the canary, and what the
//! guard watches.
//!
//! A [`Snapshot`] is whole and immutable. It replaces the one before it; a receiver ignores
//! one whose [`Generation`] is not newer than what it holds. It names addresses and limits
//! only, never a plan: the proxy needs to know nothing of stages.

mod apart;
mod matching;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::evidence::TripSpec;
use crate::units::{Millis, Weight};

pub use apart::{Mark, Segment, Segments, Testers};
pub use matching::{Route, conflict, is_host, is_path};

/// The order of snapshots: the controller's epoch, then its count of changes within it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Generation {
    /// Rises each time a controller takes the lease.
    pub epoch: u64,
    /// Rises with each change within the epoch.
    pub seq: u64,
}

/// Everything a proxy serves, at one generation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Where this snapshot stands in the order of all snapshots.
    pub generation: Generation,
    /// One entry a service; names are unique.
    pub services: Vec<ServiceRoute>,
}

/// How one service's traffic is received and split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceRoute {
    /// The service's name; the label of its counters.
    pub service: String,
    /// The address the proxy listens on, `host:port`; several services may share it.
    pub listen: String,
    /// How connections to it are taken in.
    #[serde(default)]
    pub door: DoorRoute,
    /// Which requests there are the service's.
    #[serde(default)]
    pub route: Route,
    /// What serves today. `None` before the first release is up: requests get a 503.
    pub stable: Option<TrackRoute>,
    /// The new release, while one is being rolled out.
    pub canary: Option<CanaryRoute>,
    /// How a request is tied to a user.
    pub sticky: Sticky,
    /// Whose requests are on the side they ask for; `None` is nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub testers: Option<Testers>,
    /// Who meets the canary before all others, or not at all.
    #[serde(default)]
    pub segments: Segments,
    /// How upstreams are asked whether they are well.
    pub health: HealthCheck,
    /// How long each part of a request may take.
    pub timeouts: Timeouts,
    /// Whether and how stable answers what the canary fails; `None` leaves it failed.
    #[serde(default)]
    pub shield: Option<Shield>,
    /// How requests are spread over the upstreams of a track.
    #[serde(default)]
    pub balance: Balance,
    /// How long requests in flight on a track that has left may still take.
    pub drain: Millis,
    /// Latencies in microseconds above which requests are counted exactly, ascending.
    pub latency_limits_us: Vec<u64>,
}

/// How connections to a listen address are taken in. The default takes plain connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DoorRoute {
    /// What is shown to clients that speak TLS; `None` speaks without.
    pub tls: Option<TlsRoute>,
    /// Who begins each connection with a header of the PROXY protocol (1 or 2) that names the
    /// client; one without is closed. Others speak for themselves.
    pub proxy_protocol_from: Vec<IpNet>,
    /// Whose word on the client (`X-Forwarded-For` and its like) is taken.
    pub forwarded_from: Vec<IpNet>,
    /// How large requests may be.
    pub limits: Limits,
}

/// How large a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Its head in bytes; a larger one is answered with 431.
    pub head: u32,
    /// Its header fields; more are answered with 431.
    pub fields: u32,
    /// Its body in bytes; a larger one is answered with 413. `None` has no limit.
    pub body: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 64 * 1024, fields: 100, body: None }
    }
}

/// A certificate and its key, as files where the proxy runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsRoute {
    /// PEM: the server's certificate first, then the ones that lead to a root. An absolute path.
    pub certificate: String,
    /// PEM: its private key. An absolute path.
    pub key: String,
}

/// One track: a release and where it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackRoute {
    /// The release, by its id; counters are kept per release.
    pub release: String,
    /// Addresses `host:port` that serve it.
    pub upstreams: Vec<String>,
    /// What they speak.
    #[serde(default)]
    pub protocol: Protocol,
}

/// How requests are spread over the upstreams of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// To the one with fewer requests under way of two drawn by lot.
    #[default]
    LeastRequest,
    /// To each in turn.
    RoundRobin,
}

/// What a version speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 without TLS, with prior knowledge: gRPC above all.
    H2c,
}

/// The canary: a track, its share, and the guard's rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CanaryRoute {
    /// The release and where it is served.
    pub track: TrackRoute,
    /// Who may meet it.
    pub weight: Weight,
    /// Of how many requests that stable answers it gets a copy, its answer thrown away.
    #[serde(default, skip_serializing_if = "Weight::is_zero")]
    pub mirror: Weight,
    /// The salt of [`crate::bucket::bucket`]: the rollout's id, so that each rollout draws
    /// its own users.
    pub salt: String,
    /// Names the stretch of traffic the guard judges (rollout and stage). The guard starts
    /// anew only when this changes, not with every snapshot.
    pub guard_key: String,
    /// What shuts the gate at once.
    pub trips: Vec<TripRule>,
}

/// One condition on which the guard sets the canary's weight to zero by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TripRule {
    /// The gate this rule protects, as the plan names it.
    pub gate: String,
    /// Which requests are bad.
    pub bad: Bad,
    /// The test's numbers.
    pub spec: TripSpec,
}

/// Which requests count against a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bad {
    /// Requests the version failed: 5xx, connection errors, timeouts, broken bodies.
    /// A client that went away (499) is not a failure.
    Failed,
    /// Requests whose first byte took longer than `latency_limits_us[n]`; failures count too.
    SlowerThan(usize),
}

/// How a request is tied to a user, so that the user stays on one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    /// The value of a cookie; where a request has none, the proxy sets one.
    Cookie(String),
    /// The value of a header; requests without it fall back to the client's address.
    Header(String),
    /// The client's address.
    Address,
}

/// Active health checks of each upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The path asked with GET; 2xx and 3xx are healthy.
    pub path: String,
    /// How often.
    pub every: Millis,
    /// How long an answer may take.
    pub timeout: Millis,
    /// So many good answers in a row make an upstream healthy; at least 1.
    pub healthy_after: u32,
    /// So many bad answers in a row make it unhealthy; at least 1.
    pub unhealthy_after: u32,
}

/// How long each part of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// Reading the request's head.
    pub head: Millis,
    /// Connecting to the upstream.
    pub connect: Millis,
    /// From the request sent to the response's first byte.
    pub first_byte: Millis,
    /// Between two pieces of a body, and of a kept-alive connection that does nothing.
    pub idle: Millis,
    /// A whole request, from its head to the last byte of its answer; `None` has no limit.
    #[serde(default)]
    pub total: Option<Millis>,
}

impl Timeouts {
    /// The most the first byte of an answer may take, and the key that says so.
    pub fn answer(&self) -> (Millis, &'static str) {
        match self.total.filter(|total| *total < self.first_byte) {
            Some(total) => (total, "timeouts.total"),
            None => (self.first_byte, "timeouts.first_byte"),
        }
    }
}

/// How stable answers what the canary fails, where a request may be sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shield {
    /// After so long without an answer of the canary's stable is asked as well.
    pub timeout: Millis,
    /// Largest request body in bytes that is kept to be sent again.
    pub body_limit: u64,
    /// Which answers of the canary's are not passed on.
    pub errors: ShieldErrors,
    /// Whether stable's answers in the canary's place carry `Sluice-Shielded: 1`.
    pub mark: bool,
}

/// Which answers the shield keeps from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShieldErrors {
    /// 502, 503 and 504.
    Gateway,
    /// Every 5xx.
    All,
}
