//! One client's connection, from accept to its end.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::exchange::{Client, answer};
use super::fields::Origin;
use super::listen::{Door, Turns, Worker, tune};
use super::settings::{BUFFER_BYTES, HEAD_BYTES, HEADERS};
use super::wire::{Line, Wire};

/// Serves one connection to its end, or to the end of its drain.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    door: Arc<Door>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    door.open.fetch_add(1, Ordering::Relaxed);
    let mut turns = door.turns();
    let slot = door.slot.load_full();
    let time = slot.state.load().time;
    tune(&stream);
    let line = Arc::new(Line::default());
    let wire = Wire::new(stream, Arc::clone(&line), time.head, time.idle);
    let client =
        Rc::new(Client { worker, door: Arc::clone(&door), slot, origin: Origin::new(peer), line });
    let service = service_fn(move |request| answer(Rc::clone(&client), request));
    let mut connection =
        pin!(builder().serve_connection(TokioIo::new(wire), service).with_upgrades());
    if let Some(cut_at) = until_turned(connection.as_mut(), &mut turns).await {
        connection.as_mut().graceful_shutdown();
        let _ = timeout_at(cut_at, connection).await;
    }
    door.open.fetch_sub(1, Ordering::Relaxed);
}

/// Drives a connection to its end (`None`) or to a change of its door. The change is asked
/// for once, which leaves a waker, and then only when something woke the task that was not
/// the connection alone: a look at a version, not a lock, on the path.
async fn until_turned(mut connection: Pin<&mut impl Future>, turns: &mut Turns) -> Option<Instant> {
    let watched = turns.clone();
    let mut turned = pin!(turns.next());
    let mut registered = false;
    std::future::poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        if registered && !watched.has_next() {
            return Poll::Pending;
        }
        registered = true;
        turned.as_mut().poll(cx).map(Some)
    })
    .await
}

/// How hyper serves: half-closed clients are kept by [`Wire`], times are its too; the date
/// is the upstream's business.
fn builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(BUFFER_BYTES)
        .max_header_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .header_read_timeout(None)
        .auto_date_header(false);
    builder
}
