//! Where a request flows: the data plane.
//!
//! [`proxy`] is the embedded proxy: it splits each service's requests between the release
//! that serves today and the one being rolled out, counts what becomes of them, and shuts a
//! catastrophic canary out by itself. What it is to serve comes as one immutable
//! [`rollout::route::Snapshot`]; it knows nothing of plans or stages.
//!
//! # What one request meets
//!
//! ```text
//! accept          listen     a socket a thread (SO_REUSEPORT); a runtime a thread
//!                 door       what a connection came in by, and how it is told to go
//!   -> client     proxied    a balancer's header, from networks that send one
//!   -> TLS        tls        where the door speaks it; certificates change under way
//!   -> protocol   connection HTTP/2 where agreed on or where its preface comes first
//!   -> head       head,wire  strict framing, limits in size and time: 400 and close
//!                 target     one host, one length, in HTTP/2 too; streams: its limits in time
//!   -> route      behind     the service behind the door for this host and path (by_host), where
//!                 spelling   every reading of the path agrees; at one generation (route)
//!   -> decision   decide     what the next three come to
//!   -> sticky key sticky     cookie, header or address; without one, a fresh key and a cookie
//!   -> choice     apart      testers with the secret, and segments: on a side without a bucket,
//!                            counted apart, heard of by no gate and no guard
//!   -> bucket     split      rollout::bucket(salt, key) against the weight in force, which is
//!   -> track                 zero while the canary is shut out or has no healthy upstream
//!   -> copy       mirror     of some safe requests, to a canary without users; nobody waits for it
//!   -> upstream   balance    the less busy of two healthy ones
//!   -> connection pool       this thread's kept ones, in turn; else connect: few at once
//!   -> forward    lean       plain HTTP/1.1, by the client's own task
//!                 forward    everything else, through hyper; either way hop-by-hop fields go
//!                            out and the origin in (fields, claims); in circles: 508
//!   -> shield     shield     what the canary failed so far goes to stable, where twice is as good
//!   -> first byte visit      counted once: class, latency, cause; the guard's witnesses
//!   -> stream     body       piece by piece both ways, an idle limit each; upgrade tunnels
//!   -> end        visit      bytes, time to last byte, access log
//! ```
//!
//! Beside the path: `control` takes snapshots; `watch` runs the health checks and every 10 ms
//! the `guard`; `drain` lets go of releases that left; `observe` and `count` tell others what
//! serves and what was counted.
//!
//! # What is promised
//!
//! - Nothing on the request path takes a lock that another thread holds; a change of weight is
//!   one pointer swap and fails no request.
//! - Each request that a release is to serve is counted exactly once: answered, gone, or cut by
//!   the end of a drain, which is no request of the release's if nothing was answered. A client that went away before the first byte (it
//!   reset the connection, or ended in the middle of its upload) is counted apart and is
//!   nobody's failure. One that only closed its sending half still waits, and gets its answer:
//!   what the release does with its request counts, so that impatient clients do not hide
//!   slow releases.
//! - A user stays on one side while the salt stays; raising the weight only adds users.
//! - Stable's share never goes to the canary; the canary's goes to stable whenever in doubt.
//! - What of a snapshot can be served is served: a service that cannot be keeps what it has,
//!   and keeps nothing from the others.
//!
//! # What is absent, deliberately
//!
//! Trust in `X-Forwarded-*` from anybody not listed (`origin`), retries that could repeat what
//! was not idempotent, reloading, and any way to raise a weight from in here.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod proxy;

pub use proxy::{
    AccessLog, Applied, Causes, Counters, Health, Inheritance, Listening, Observed,
    ObservedService, ObservedUpstream, Proxy, ProxySettings, Refused, ReleaseCounters,
    SESSION_COOKIE, ServiceCounters, Stopping, TripReport, Withheld, probe,
};
