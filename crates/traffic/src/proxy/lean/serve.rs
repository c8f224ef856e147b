//! One connection's plain requests, one after the other.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::{Method, StatusCode};
use rollout::route::Protocol;
use tokio::time::Instant;

use super::super::count::Cause;
use super::super::decide::Decided;
use super::super::exchange::{Client, PLAIN_TEXT, verdict};
use super::super::fields;
use super::super::forward::Failure;
use super::super::route::{Times, Track};
use super::super::shield::{Cover, Served};
use super::super::stream::Stream;
use super::super::visit::Visit;
use super::answer::Head;
use super::ask::{Answer, Ask};
use super::peer::{Next, Peer};
use super::relay::{Passed, relay};
use super::request::{Outgoing, Plain};
use super::tail::Tail;

/// Whether the connection is told to go.
#[derive(Debug, Default)]
pub(crate) struct Going {
    /// The next answer is the last one.
    pub last: Cell<bool>,
    /// It is not waited for another request.
    pub silent: Cell<bool>,
}

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Another may follow.
    Stay,
    /// It is closed, once what was said has arrived.
    Leave,
    /// It is broken.
    Break,
    /// The request was not touched: it is not for here.
    Other,
}

/// Serves plain requests. Ends with the connection, or gives it back, every byte of its next
/// request unread, when that is not plain.
pub(crate) async fn serve(client: &Rc<Client>, stream: Stream, going: &Going) -> Option<Stream> {
    let mut peer = Peer::new(stream, client.bounds);
    let mut outgoing = Outgoing::default();
    loop {
        let after = match peer.next(client.bounds.head_bytes as usize, &going.silent).await {
            Next::Head(length) => one(client, &mut peer, length, &mut outgoing, going).await,
            Next::Other => After::Other,
            Next::End => After::Leave,
        };
        match after {
            After::Stay => {}
            After::Leave => {
                peer.farewell().await;
                return None;
            }
            After::Break => return None,
            After::Other => return Some(peer.into_unread()),
        }
    }
}

/// One request, whose head is the next `length` bytes.
async fn one(
    client: &Rc<Client>,
    peer: &mut Peer,
    length: usize,
    outgoing: &mut Outgoing,
    going: &Going,
) -> After {
    let started = Instant::now();
    let Some(plain) = Plain::of(peer.peek(length), client.bounds.fields) else {
        return After::Other;
    };
    let asker = client.origin.asker(&plain.head.headers);
    let decided = client.decide(&plain.head, &asker);
    if decided.as_ref().is_ok_and(|decided| !is_plain(decided)) {
        return After::Other;
    }
    peer.advance(length);
    let Plain { mut head, body, closes, trailers } = plain;
    let to_head = head.method == Method::HEAD;
    let Decided { seat, time, cover, cookie, entry, secret, .. } = match decided {
        Ok(decided) => decided,
        Err(undecided) => {
            client.turned_away(&undecided, &head, &asker, started.into_std());
            let closes = closes || going.last.get();
            let tail = Tail { closes, to_head, ..Tail::default() };
            return refuse(peer, body, undecided.answer(), &tail).await;
        }
    };
    let mut visit = Visit::begin(&client.worker, seat, started.into_std(), &client.line, entry);
    if !peer.has(body).await {
        let tail = Tail { closes: true, ..Tail::default() };
        if peer.has_ended() {
            return fail(peer, Failure::Client, &mut visit, &tail, going).await;
        }
        return After::Break;
    }
    visit.received(body);
    if let Some(secret) = secret {
        head.headers.remove(secret);
    }
    fields::for_upstream(&mut head.headers, head.version, &asker, None);
    visit.copy(&head, &time);
    outgoing.put(&head, peer.peek(body));
    peer.advance(body);
    let cover = cover.filter(|cover| {
        Cover::takes(&head.method, &head.headers) && body as u64 <= cover.shield.body_limit
    });
    let answered = ask(client, peer, outgoing, cover, &mut visit, &time).await;
    let tail = Tail { marked: false, cookie, closes, trailers, to_head };
    match answered {
        None => After::Break,
        Some((Ok(answer), marked)) => {
            let tail = Tail { marked, ..tail };
            pass(client, peer, answer, visit, &time, &tail, going).await
        }
        Some((Err(failure), _)) => fail(peer, failure, &mut visit, &tail, going).await,
    }
}

/// Whether its upstreams can be spoken to here, and the answer is passed on as it is.
fn is_plain(decided: &Decided) -> bool {
    let plain =
        |track: &Track| track.upstreams.iter().all(|upstream| upstream.protocol == Protocol::Http1);
    // A limit on all of it is kept where bodies pass piece by piece.
    decided.total.is_none()
        && decided.served_by.is_none()
        && plain(&decided.seat.track)
        && decided.cover.as_ref().is_none_or(|cover| plain(&cover.stable))
}

/// The answer, and whether it stands in the canary's place; `None` when the client is gone.
async fn ask(
    client: &Rc<Client>,
    peer: &mut Peer,
    request: &Outgoing,
    cover: Option<Cover>,
    visit: &mut Visit,
    time: &Times,
) -> Option<(Result<Answer, Failure>, bool)> {
    let (ask, track) = (Ask::new(&client.worker, request), Arc::clone(visit.track()));
    // Another upstream of a canary's would hide its failure from the evidence.
    let again = visit.is_stables();
    let answered = async {
        let Some(cover) = cover else {
            return (ask.somewhere(&track, time, again).await, false);
        };
        let own = ask.forward(&track, time);
        match cover.spare(own, None, &ask, visit, time).await {
            Served::Own(answer) => (answer, false),
            Served::Relieved(answer) => (answer, cover.shield.mark),
        }
    };
    let mut answered = pin!(answered);
    poll_fn(|cx| match answered.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => peer.poll_gone(cx).map(|()| None),
    })
    .await
}

/// Passes an answer on.
async fn pass(
    client: &Client,
    peer: &mut Peer,
    mut answer: Answer,
    mut visit: Visit,
    time: &Times,
    tail: &Tail,
    going: &Going,
) -> After {
    let Head { status, grpc_failed, .. } = answer.head;
    let mut moved = Instant::now();
    visit.answered_at(moved.into_std(), status, grpc_failed.then_some(Cause::Grpc));
    let closes = tail.closes || going.last.get();
    tail.write(&mut answer.pipe.out, closes);
    let timing = (time.idle, &mut moved);
    match relay(peer, &mut answer, visit, timing, tail.trailers).await {
        Passed::Whole => {
            answer.give_back(&client.worker, time, moved);
            peer.rests(moved);
            if closes { After::Leave } else { After::Stay }
        }
        Passed::Broken | Passed::Gone => After::Break,
    }
}

/// Answers in the place of an upstream that did not.
async fn fail(
    peer: &mut Peer,
    failure: Failure,
    visit: &mut Visit,
    tail: &Tail,
    going: &Going,
) -> After {
    let verdict = verdict(failure, visit);
    say(peer, verdict, &Tail { closes: tail.closes || going.last.get(), ..tail.clone() }).await
}

/// Refuses a request with a body of so many bytes, which is read first: an answer can be lost where
/// its connection ends with something unread.
async fn refuse(peer: &mut Peer, body: usize, answer: (StatusCode, &str), tail: &Tail) -> After {
    if !peer.has(body).await {
        return After::Break;
    }
    peer.advance(body);
    say(peer, answer, tail).await
}

/// Answers with the proxy's own words.
async fn say(peer: &mut Peer, (status, text): (StatusCode, &str), tail: &Tail) -> After {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {PLAIN_TEXT}\r\ncontent-length: {}\r\n",
        text.len()
    );
    let mut out = head.into_bytes();
    tail.write(&mut out, tail.closes);
    if !tail.to_head {
        out.extend_from_slice(text.as_bytes());
    }
    let told = peer.tell(&out).await;
    peer.rests(Instant::now());
    match told {
        true if tail.closes => After::Leave,
        true => After::Stay,
        false => After::Break,
    }
}
