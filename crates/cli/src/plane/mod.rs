//! The data plane as a process of its own: what the controller says, served; what is served, told.
//!
//! The proxy needs the controller only to be told something new. What it was told last lies on
//! disk ([`keep`]), so it serves from its start, and the guard within it shuts the gate without
//! asking anybody. [`sync`] is the conversation; [`lost`] says what becomes of a canary when there has
//! been none for long. A new binary takes over from the one that runs ([`handover`]), and the one that
//! is replaced finishes what is under way ([`drain`]). Two that know nothing of each other are kept
//! apart ([`lock`]).

mod drain;
mod handover;
mod keep;
mod lock;
mod lost;
mod sync;

use handover::Before;
pub(crate) use handover::{Estate, Giver, Heir, take};
pub(crate) use keep::Keep;
pub(crate) use lock::Lock;
pub(crate) use sync::Plane;
