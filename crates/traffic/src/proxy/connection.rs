//! One client's connection, from accept to its end.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::behind::{Bounds, Entrance};
use super::door::{Inside, Turns, closing};
use super::exchange::{Client, answer};
use super::lean::{self, Going};
use super::listen::{Worker, tune};
use super::origin::{self, Origin};
use super::settings::{BUFFER_BYTES, PING_EVERY, RESETS, STREAM_BUFFER_BYTES, STREAMS};
use super::stream::Stream;
use super::streams::Streams;
use super::wire::{Line, Wire};

/// How long a client that has said nothing may still begin to when its door changes: what it
/// says may be on its way.
const FIRST_WORD: Duration = Duration::from_millis(100);

/// Serves one connection to its end, or to the end of its drain.
pub(crate) async fn serve(worker: Rc<Worker>, inside: Inside, tcp: TcpStream, peer: SocketAddr) {
    let door = Arc::clone(inside.door());
    let turns = door.turns();
    let behind = door.behind.load_full();
    let bounds = behind.entrance.bounds;
    tune(&tcp);
    let mut early = turns.clone();
    let told_to_go = async {
        early.next().await;
        let first_word = Instant::now().checked_add(FIRST_WORD);
        sleep_until(early.idle_until().max(first_word.unwrap_or_else(Instant::now))).await;
    };
    let opened = tokio::select! {
        biased;
        opened = timeout(bounds.head, open(tcp, peer, &behind.entrance)) => opened.ok(),
        () = told_to_go => None,
    };
    drop(behind);
    match opened {
        Some(Ok(Opened { stream, origin, http2 })) => {
            let line = Arc::new(Line::default());
            let client = Client { worker, door, origin, line, bounds };
            if http2 {
                over_http2(client, stream, turns).await;
            } else {
                over_http1(client, stream, turns).await;
            }
        }
        Some(Err(error)) => tracing::debug!(%error, %peer, "connection could not be opened"),
        None => {}
    }
}

/// A connection of which is known who is at its other end and what is spoken.
struct Opened {
    stream: Stream,
    origin: Origin,
    http2: bool,
}

/// Finds out whom a load balancer speaks for, agrees on TLS where the door speaks it, and
/// finds out which version of HTTP the client speaks.
async fn open(tcp: TcpStream, peer: SocketAddr, entrance: &Entrance) -> io::Result<Opened> {
    let (mut stream, mut client) = (Stream::new(tcp), peer);
    if origin::contain(&entrance.proxy_protocol_from, peer.ip().to_canonical()) {
        client = stream.take_header().await?.unwrap_or(peer);
    }
    if let Some(tls) = &entrance.tls {
        stream = stream.inside_tls(tls).await?;
    }
    let http2 = stream.speaks_http2().await?;
    let origin = Origin::new(client, entrance.tls.is_some(), &entrance.forwarded_from);
    Ok(Opened { stream, origin, http2 })
}

/// Plain requests are served in this task. What is not plain goes to hyper, and the rest of
/// the connection with it.
async fn over_http1(client: Client, stream: Stream, mut turns: Turns) {
    let (client, going) = (Rc::new(client), Going::default());
    let mut cut_at = None;
    let rest = {
        let mut plain = pin!(lean::serve(&client, stream, &going));
        match until_turned(plain.as_mut(), &mut turns).await {
            Ok(rest) => rest,
            Err(by) => {
                going.last.set(true);
                cut_at = Some(by);
                if let Ok(rest) = timeout_at(turns.idle_until(), plain.as_mut()).await {
                    rest
                } else {
                    going.silent.set(true);
                    let Ok(rest) = timeout_at(by, plain.as_mut()).await else {
                        return client.line.cut();
                    };
                    rest
                }
            }
        }
    };
    if let Some(stream) = rest {
        through_hyper(client, stream, turns, cut_at).await;
    }
}

/// `cut_at`: the connection was told to go already, and is cut then.
async fn through_hyper(
    client: Rc<Client>,
    stream: Stream,
    mut turns: Turns,
    cut_at: Option<Instant>,
) {
    let (bounds, line) = (client.bounds, Arc::clone(&client.line));
    let wire = Wire::new(stream, Arc::clone(&line), bounds.head, bounds.idle)
        .with_head_of(bounds.head_bytes as usize);
    let builder = http1_builder(&bounds);
    let service = service_fn(move |request| answer(Rc::clone(&client), request));
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(wire), service).with_upgrades());
    let cut_at = match cut_at {
        Some(cut_at) => cut_at,
        None => match until_turned(connection.as_mut(), &mut turns).await {
            Ok(_) => return,
            Err(cut_at) => cut_at,
        },
    };
    line.leave();
    if timeout_at(turns.idle_until(), connection.as_mut()).await.is_ok() {
        return;
    }
    connection.as_mut().graceful_shutdown();
    if timeout_at(cut_at, connection).await.is_err() {
        line.cut();
    }
}

/// As over HTTP/1.1; `GOAWAY` is what tells the client to go. One that has no stream for the
/// idle limit is told so too, and left when it stays.
async fn over_http2(client: Client, stream: Stream, mut turns: Turns) {
    let bounds = client.bounds;
    let (client, streams) = (Rc::new(client), Streams::new());
    let opened = streams.clone();
    let service = service_fn({
        let client = Rc::clone(&client);
        move |request| {
            let (stream, answered) = (opened.open(), answer(Rc::clone(&client), request));
            async move { answered.await.map(|answer| answer.map(|reply| reply.on(stream))) }
        }
    });
    let builder = http2_builder(&streams, &bounds);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let cut_at = tokio::select! {
        turned = until_turned(connection.as_mut(), &mut turns) => match turned {
            Err(cut_at) => Some(cut_at),
            Ok(_) => return,
        },
        () = streams.quiet(bounds.idle) => None,
    };
    if streams.is_abused() {
        return tracing::debug!("a client resets what it asks for");
    }
    connection.as_mut().graceful_shutdown();
    let cut = async {
        match cut_at {
            Some(cut_at) => sleep_until(cut_at).await,
            None => closing(client.door.turns()).await,
        }
    };
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        },
        () = cut => client.line.cut(),
        () = streams.quiet(bounds.idle) => {}
    }
}

/// Drives a connection to its end, or to a change of its door: when it is to be cut. The change is asked
/// for once, which leaves a waker, and then only when something woke the task that was not
/// the connection alone: a look at a version, not a lock, on the path.
async fn until_turned<F: Future>(
    mut connection: Pin<&mut F>,
    turns: &mut Turns,
) -> Result<F::Output, Instant> {
    let watched = turns.clone();
    let mut turned = pin!(turns.next());
    let mut registered = false;
    std::future::poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(Ok(ended));
        }
        if registered && !watched.has_next() {
            return Poll::Pending;
        }
        registered = true;
        // Also where the connection has used up the task's turn: it leaves its waker either way.
        pin!(unconstrained(turned.as_mut())).poll(cx).map(Err)
    })
    .await
}

/// How hyper serves: half-closed clients are kept by [`Wire`], times are its too; the date
/// is the upstream's business.
fn http1_builder(bounds: &Bounds) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .max_buf_size(BUFFER_BYTES)
        .max_header_size(bounds.head_bytes as usize)
        .max_headers(bounds.fields as usize)
        .header_read_timeout(None)
        .auto_date_header(false);
    builder
}

/// How hyper serves HTTP/2. A client that vanished is found by pings, one that resets its
/// streams as fast as it opens them is sent away.
fn http2_builder(streams: &Streams, bounds: &Bounds) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(bounds.head_bytes)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_send_buf_size(STREAM_BUFFER_BYTES)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(bounds.idle)
        .auto_date_header(false);
    builder
}
