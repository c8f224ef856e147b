//! Plain HTTP/1.1 without detours: one task a connection, which drives the upstream's too.
//!
//! hyper runs a task a connection on either side and hands messages between them. Most requests
//! need none of that: a head, a short body that is already there, an answer. They are read,
//! decided, sent and answered here, in the client's own task, from buffers that stay.
//!
//! ```text
//! peer       the client: strict heads, limits in time, whether it is still there
//! request    which heads are plain; the same request as the upstream is to read it
//! ask        an upstream connection, and a second try where the first was stale
//! pipe       one upstream connection: a request out, a head in
//! answer     the upstream's head, checked, as the client is to read it
//! chunks     bodies in chunks
//! relay      the answer on its way
//! serve      one request after the other, and what becomes of the connection
//! ```
//!
//! What is decided (route, track, shield, cookie) and what is counted is the same code as for
//! hyper's requests. Whatever is not plain - a refused or a strange head, an upgrade, `Expect`, a
//! body in chunks or a large one, HTTP/1.0, gRPC, an upstream that speaks h2c - goes to hyper
//! with every byte of it unread, and so does the rest of its connection.

mod answer;
mod ask;
mod buffer;
mod chunks;
mod cut;
mod patience;
mod peer;
mod pipe;
mod relay;
mod request;
mod serve;
mod tail;

pub(crate) use cut::Cut;
pub(crate) use pipe::Pipe;
pub(crate) use serve::{Going, serve};
#[cfg(any(test, fuzzing))]
pub(crate) use {chunks::Chunks, request::Outgoing, request::Plain};
