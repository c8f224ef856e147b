//! The data plane as a process of its own: what the controller says, served; what is served, told.
//!
//! The proxy needs the controller only to be told something new. What it was told last lies on
//! disk ([`keep`]), so it serves from its start, and the guard within it shuts the gate without
//! asking anybody. [`sync`] is the conversation; [`lost`] says what becomes of a canary when there has
//! been none for long.

mod keep;
mod lost;
mod sync;

pub(crate) use keep::Keep;
pub(crate) use sync::Plane;
