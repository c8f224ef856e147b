//! One request: from its head to an answer whose body is on its way.

use std::convert::Infallible;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use super::behind::Bounds;
use super::body::Download;
use super::count::Cause;
use super::decide::{Decided, Undecided};
use super::door::Door;
use super::fields;
use super::forward::{Answer, Asked, Failure, LATE, OverHyper, Spare};
use super::grpc;
use super::listen::Worker;
use super::origin::{Asker, Origin};
use super::reply::Reply;
use super::route::Times;
use super::shield::{Cover, Served};
use super::target;
use super::total::{Total, in_time};
use super::upgrade;
use super::upload::{Progress, Upload};
use super::visit::Visit;
use super::wire::Line;

/// What answers of stable's in the canary's place carry, where that is asked for.
const SHIELDED: HeaderName = HeaderName::from_static("sluice-shielded");

/// The type of the proxy's own words.
pub(crate) const PLAIN_TEXT: &str = "text/plain; charset=utf-8";
/// What answers to testers carry: the track that serves them.
const TRACK: HeaderName = HeaderName::from_static("sluice-track");

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub worker: Rc<Worker>,
    pub door: Arc<Door>,
    pub origin: Origin,
    pub line: Arc<Line>,
    pub bounds: Bounds,
}

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(crate) async fn answer(
    client: Rc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Infallible> {
    let started = Instant::now();
    let (mut head, body) = request.into_parts();
    let mut response = if let Some(status) = target::refusal(&head, client.bounds.fields) {
        client.close_with(status)
    } else if fields::is_in_circles(&head.headers) {
        client.text(StatusCode::LOOP_DETECTED, "the request goes in circles\n")
    } else {
        target::to_origin_form(&mut head);
        serve(&client, Request::from_parts(head, body), started).await
    };
    if (client.line.is_opaque() || client.line.is_leaving())
        && response.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn serve(
    client: &Rc<Client>,
    request: Request<Incoming>,
    started: Instant,
) -> Response<Reply> {
    let asker = client.origin.asker(request.headers());
    let (mut head, body) = request.into_parts();
    let decided = match client.decide(&head, &asker) {
        Ok(decided) => decided,
        Err(Undecided::TooLarge) => return client.close_with(StatusCode::PAYLOAD_TOO_LARGE),
        Err(undecided) => {
            client.turned_away(&undecided, &head, &asker, started);
            let (status, text) = undecided.answer();
            return client.text(status, text);
        }
    };
    let Decided { seat, time, total, cover, cookie, body_limit, secret, served_by, entry } =
        decided;
    if let Some(secret) = secret {
        head.headers.remove(secret);
    }
    let request = Request::from_parts(head, body);
    let mut visit = Visit::begin(&client.worker, seat, started, &client.line, entry);
    let total = Total::of(total, started);
    let forwarded = {
        let work = forward(client, request, &asker, (cover, body_limit), &mut visit, &time);
        in_time(total, pin!(work)).await
    };
    let mut response = match forwarded {
        Some(Ok(forwarded)) => forwarded.into_response(client, visit, (time, total)),
        Some(Err(failure)) => client.failed(failure, &mut visit),
        None if total.is_some_and(|it| it.watch(visit.upload()).is_the_clients(visit.upload())) => {
            client.close_with(StatusCode::REQUEST_TIMEOUT)
        }
        None => client.failed(LATE, &mut visit),
    };
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    if let Some(side) = served_by {
        response.headers_mut().insert(TRACK, HeaderValue::from_static(side.name()));
    }
    response
}

/// An upstream's answer.
struct Forwarded {
    answer: Answer,
    /// The client's end of an upgrade it may agree to.
    upgrade: Option<(HeaderValue, hyper::upgrade::OnUpgrade)>,
    /// It stands in the canary's place, and says so.
    marked: bool,
}

async fn forward(
    client: &Rc<Client>,
    mut request: Request<Incoming>,
    asker: &Asker,
    (cover, body_limit): (Option<Cover>, Option<u64>),
    visit: &mut Visit,
    time: &Times,
) -> Result<Forwarded, Failure> {
    let protocol =
        client.line.is_opaque().then(|| fields::upgrade_asked(request.headers())).flatten();
    let upgrade = protocol.map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
    let (mut head, body) = request.into_parts();
    let change_to = upgrade.as_ref().map(|(protocol, _)| protocol.clone());
    fields::for_upstream(&mut head.headers, head.version, asker, change_to);
    // The connection of an HTTP/1.1 client sees to its idle limit; a stream has nobody else.
    let watched = (head.version == Version::HTTP_2).then_some(time.idle);
    (head.version, head.extensions) = (Version::HTTP_11, http::Extensions::new());
    let cover = cover.filter(|_| upgrade.is_none() && Cover::takes(&head.method, &head.headers));
    let keep = cover.as_ref().map(|cover| cover.shield.body_limit);
    let (body, source) = Upload::new(body, watched, keep, body_limit);
    if !body.is_empty() {
        fields::frame_upload(&mut head.headers);
    }
    if body.is_empty() {
        visit.copy(&head, time);
    }
    let upload = body.progress();
    visit.uploads(upload.clone());
    let request = Request::from_parts(head, body);
    let (over, track) = (OverHyper(&client.worker), Arc::clone(visit.track()));
    let Some(cover) = cover else {
        let alone = Asked::default();
        let (upload, alone) = (upload.as_deref(), &alone);
        let answer = if visit.is_stables() && track.upstreams.len() > 1 {
            // Large, and seldom needed.
            Box::pin(over.somewhere(&track, request, upload, time, alone)).await?
        } else {
            over.forward(&track, request, upload, time, alone).await?
        };
        return Ok(Forwarded { answer, upgrade, marked: false });
    };
    let spare = Spare::of(over, &request, source);
    let own = over.forward(&track, request, upload.as_deref(), time, &spare.asked);
    // Two attempts are large; the requests that have only one need not carry that.
    let shielded = Box::pin(cover.spare(own, upload.as_deref(), &spare, visit, time));
    match shielded.await {
        Served::Own(answer) => Ok(Forwarded { answer: answer?, upgrade, marked: false }),
        Served::Relieved(answer) => {
            Ok(Forwarded { answer: answer?, upgrade, marked: cover.shield.mark })
        }
    }
}

impl Forwarded {
    fn into_response(
        self,
        client: &Client,
        mut visit: Visit,
        (time, total): (Times, Option<Total>),
    ) -> Response<Reply> {
        let Answer { mut response, lease } = self.answer;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let granted = self.upgrade.and_then(|(asked, ours)| {
                Some((fields::upgrade_granted(response.headers(), &asked)?, ours))
            });
            let Some((protocol, ours)) = granted else {
                let unasked = Failure::Upstream(Cause::Reset, StatusCode::BAD_GATEWAY);
                return client.failed(unasked, &mut visit);
            };
            visit.answered(101, None);
            let theirs = hyper::upgrade::on(&mut response);
            upgrade::tunnel(client, lease, visit, ours, theirs);
            fields::remove_hop_by_hop(response.headers_mut());
            fields::change_to(response.headers_mut(), protocol);
            return response.map(|_| client.reply(""));
        }
        let grpc = grpc::is_spoken(response.headers());
        let failed = grpc && grpc::says_failed(response.headers());
        visit.answered(response.status().as_u16(), failed.then_some(Cause::Grpc));
        fields::remove_hop_by_hop(response.headers_mut());
        if self.marked {
            response.headers_mut().insert(SHIELDED, HeaderValue::from_static("1"));
        }
        *response.version_mut() = Version::HTTP_11;
        let line = Arc::clone(&client.line);
        response.map(|body| {
            let download = Download::new(body, visit, lease, time.idle, grpc);
            Reply::stream(download.within(total), line)
        })
    }
}

impl Client {
    fn failed(&self, failure: Failure, visit: &mut Visit) -> Response<Reply> {
        let (status, text) = verdict(failure, visit);
        if failure == Failure::Client {
            return self.close_with(status);
        }
        self.text(status, text)
    }

    /// Refuses, and ends the connection.
    fn close_with(&self, status: StatusCode) -> Response<Reply> {
        let mut response = self.text(status, "");
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    fn text(&self, status: StatusCode, text: &'static str) -> Response<Reply> {
        let mut response = Response::new(self.reply(text));
        *response.status_mut() = status;
        if !text.is_empty() {
            let plain = HeaderValue::from_static(PLAIN_TEXT);
            response.headers_mut().insert(CONTENT_TYPE, plain);
        }
        response
    }

    fn reply(&self, text: &'static str) -> Reply {
        Reply::text(text, Arc::clone(&self.line))
    }
}

/// What a client gets in the place of an answer, and what is counted for it.
pub(crate) fn verdict(failure: Failure, visit: &mut Visit) -> (StatusCode, &'static str) {
    match failure {
        Failure::Client if visit.upload().is_some_and(Progress::is_too_large) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "")
        }
        Failure::Client => (StatusCode::BAD_REQUEST, ""),
        Failure::Cut => {
            visit.cut();
            (StatusCode::SERVICE_UNAVAILABLE, "the release that was to answer has left\n")
        }
        Failure::Upstream(cause, status) => {
            visit.answered(status.as_u16(), Some(cause));
            let text = match cause {
                Cause::Connect => "the service cannot be reached\n",
                Cause::Timeout => "the service did not answer in time\n",
                Cause::Reset | Cause::BrokenBody | Cause::Status | Cause::Grpc => {
                    "the service broke off\n"
                }
            };
            (status, text)
        }
    }
}
