//! A plain request: taken from a client's head, and put as the upstream is to read it.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Uri, Version};

use super::super::fields::{closes, is_in_circles, takes_trailers};
use super::super::grpc;
use super::super::head::length;
use super::super::settings::HEADERS;
use super::super::target;

/// Largest body that is waited for and sent along with its head. Larger ones are passed on
/// while they come, by hyper.
pub(crate) const WHOLE_BODY: u64 = 16 * 1024;

/// Room for a request that is kept from one to the next.
const KEPT: usize = 8 * 1024;

/// A plain request's head.
#[derive(Debug)]
pub(crate) struct Plain {
    pub head: Parts,
    /// Bytes of its body.
    pub body: usize,
    /// The client closes the connection after it.
    pub closes: bool,
    /// The client takes fields after a body.
    pub trailers: bool,
}

impl Plain {
    /// The request whose whole head, read strictly before, is `bytes`; `None` when it is not
    /// plain, or is to be refused.
    pub(crate) fn of(bytes: &[u8], fields: u32) -> Option<Self> {
        let head = parse(bytes, fields)?;
        let headers = &head.headers;
        let special = [EXPECT, UPGRADE, http::header::TRANSFER_ENCODING];
        let is_special = special.iter().any(|name| headers.contains_key(name))
            || headers.get(CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(grpc::KIND))
            || head.method == Method::CONNECT
            || !head.uri.path().starts_with('/')
            || target::refusal(&head, fields).is_some()
            || is_in_circles(headers);
        let body = match headers.get(CONTENT_LENGTH) {
            Some(said) => length(said.as_bytes()).filter(|said| *said <= WHOLE_BODY)?,
            None => 0,
        };
        let (closes, trailers) = (closes(headers), takes_trailers(headers));
        let body = usize::try_from(body).ok()?;
        (!is_special).then_some(Self { head, body, closes, trailers })
    }
}

/// A head of HTTP/1.1 with a path for its target; its values stay where they were read to.
fn parse(bytes: &[u8], fields: u32) -> Option<Parts> {
    let mut room = [const { std::mem::MaybeUninit::uninit() }; HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let config = httparse::ParserConfig::default();
    config.parse_request_with_uninit_headers(&mut request, bytes, &mut room).ok()?;
    let (method, target) = (request.method?, request.path?);
    let fits = request.headers.len() <= fields as usize && target.starts_with('/');
    if request.version != Some(1) || !fits {
        return None;
    }
    let kept = Bytes::copy_from_slice(bytes);
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::from_bytes(method.as_bytes()).ok()?;
    head.uri =
        Uri::from_maybe_shared(kept.slice_ref(within(&kept, bytes, target.as_bytes())?)).ok()?;
    head.version = Version::HTTP_11;
    head.headers.reserve(request.headers.len().saturating_add(4));
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = kept.slice_ref(within(&kept, bytes, field.value)?);
        head.headers.append(name, HeaderValue::from_maybe_shared(value).ok()?);
    }
    Some(head)
}

/// The part of `copy` that `part` is of `whole`.
fn within<'a>(copy: &'a [u8], whole: &[u8], part: &[u8]) -> Option<&'a [u8]> {
    let start = (part.as_ptr().addr()).checked_sub(whole.as_ptr().addr())?;
    copy.get(start..start.checked_add(part.len())?)
}

/// A request as an upstream is to read it, head and body, for as many attempts as it takes.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    is_head: bool,
    repeatable: bool,
}

impl Outgoing {
    /// Puts `head`, made fit for the upstream, and `body` in place of what was here.
    pub(crate) fn put(&mut self, head: &Parts, body: &[u8]) {
        self.is_head = head.method == Method::HEAD;
        self.repeatable = body.is_empty() && is_repeatable(&head.method);
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.shrink_to(KEPT);
        let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        for part in [head.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
        for (name, value) in &head.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
    }

    /// Every byte of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether its answer has no body, whatever its head says.
    pub(crate) const fn is_head(&self) -> bool {
        self.is_head
    }

    /// Whether it may be sent a second time after the first may have arrived.
    pub(crate) const fn is_repeatable(&self) -> bool {
        self.repeatable
    }
}

/// Whether twice is as good as once.
fn is_repeatable(method: &Method) -> bool {
    let safe =
        [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE];
    safe.contains(method)
}
