//! A proxy is replaced by another process of it, usually a new binary, while it serves.
//!
//! Both are processes on one state folder. The one that runs listens on a socket in it
//! ([`Giver`]); `sluice proxy --upgrade` connects to that ([`take()`]), and then:
//!
//! 1. It gets the listening sockets themselves, the snapshot, the gates that are shut, and what
//!    is known of the versions' health ([`Will`]); it serves all that, and both accept.
//! 2. It says so. The old one accepts no more, gives the state folder's lock away and no longer
//!    speaks with the controller. It finishes what is under way and ends.
//! 3. Until then it tells the new one what it counts and which gates its guard shuts, and is told
//!    each new snapshot ([`Before`]). The new one reports both as one, under the name and the
//!    instance of the old one: to the controller it is one proxy that never stopped, and no
//!    window of traffic is lost.
//!
//! If the new one fails before step 2, the old one goes on as if nothing had happened.

mod before;
mod frame;
mod give;
mod take;

use rollout::route::Snapshot;
use serde::{Deserialize, Serialize};
use server::engine::Counted;
use traffic::{Observed, TripReport};

pub(crate) use before::Before;
pub(crate) use give::{Giver, Heir, Said, Successor};
pub(crate) use take::{Estate, take};

/// The version of what two processes say here. Another one is refused.
const PROTOCOL: u32 = 1;

/// What is handed over, besides the sockets, which follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Will {
    /// What the controller knows the proxy by.
    pub(crate) name: String,
    /// What marks its counts as of one run; the new process counts on under it.
    pub(crate) instance: u64,
    /// What is to be served; `None` before anything was said.
    pub(crate) snapshot: Option<Snapshot>,
    /// Gates shut that the controller has not answered to yet.
    pub(crate) untold: Vec<TripReport>,
    /// Gates shut that it has, in stretches of traffic that are not over.
    pub(crate) told: Vec<TripReport>,
    /// What serves now.
    pub(crate) observed: Observed,
    /// No controller has answered for as long as it was to be waited for.
    #[serde(default)]
    pub(crate) lost: bool,
}

/// What the one that runs says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromOld {
    /// It hands over; the sockets of each address follow, so many.
    Will { will: Box<Will>, doors: Vec<DoorOver> },
    /// It does not, for this reason.
    No(String),
    /// It accepts no more: the state folder and the controller are the other's.
    Yours(Box<Still>),
    /// What it has counted by now, and what is under way.
    Still(Box<Still>),
    /// Its guard has shut a gate.
    Tripped(Box<TripReport>),
    /// What it has counted in all; it ends.
    Gone(Box<Still>),
}

/// What the one that comes says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FromNew {
    /// It wants to take over.
    Hello { protocol: u32, pid: u32 },
    /// It serves all that it was handed.
    Serving,
    /// What is to be served from now on.
    Snapshot(Box<Snapshot>),
    /// The canary of this service is shut out.
    Shut(String),
}

/// The sockets of an address.
#[derive(Debug, Serialize, Deserialize)]
struct DoorOver {
    address: String,
    sockets: usize,
}

/// What a proxy that ends has still to say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Still {
    /// What it and those before it have counted.
    pub(crate) counted: Counted,
    /// What is under way there.
    pub(crate) observed: Observed,
}
