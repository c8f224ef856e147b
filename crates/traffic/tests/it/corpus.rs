//! Malformed requests, case by case, before a release that writes down every byte it gets.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::kit::{counted, observed, proxy, raw, shop, until};

/// What a release got that were no health checks.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<Vec<u8>>>);

impl Recorded {
    /// A release that answers nothing but health checks.
    async fn listen() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let recorded = Self::default();
        let kept = recorded.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(kept.clone().take(stream));
            }
        });
        (recorded, address)
    }

    async fn take(self, mut stream: TcpStream) {
        let mut piece = vec![0; 64 * 1024];
        let mut first = true;
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            if std::mem::take(&mut first) && piece.starts_with(b"GET /health ") {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                return;
            }
            self.0.lock().unwrap().extend_from_slice(&piece[..count]);
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut *self.0.lock().unwrap())).into_owned()
    }
}

/// The bytes that a line of the corpus stands for.
fn bytes(line: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = line;
    while let Some(next) = rest.chars().next() {
        let step = match rest.get(..2) {
            Some("\\r") => (out.push(b'\r'), 2).1,
            Some("\\n") => (out.push(b'\n'), 2).1,
            Some("\\t") => (out.push(b'\t'), 2).1,
            Some("\\0") => (out.push(0), 2).1,
            Some("\\\\") => (out.push(b'\\'), 2).1,
            Some("\\x") => (out.push(u8::from_str_radix(&rest[2..4], 16).unwrap()), 4).1,
            _ if next == '{' => {
                let end = rest.find('}').unwrap();
                let (text, times) = rest[1..end].rsplit_once('*').unwrap();
                out.extend(bytes(text).repeat(times.parse().unwrap()));
                end + 1
            }
            _ => (out.extend(next.to_string().bytes()), next.len_utf8()).1,
        };
        rest = &rest[step..];
    }
    out
}

/// The cases of a corpus: blocks of lines.
fn cases(corpus: &'static str) -> Vec<Vec<&'static str>> {
    let blocks = corpus.split("\n\n").map(|block| {
        block.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect::<Vec<_>>()
    });
    blocks.filter(|block| !block.is_empty()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_malformed_request_over_http1_is_accepted() {
    let (recorded, address) = Recorded::listen().await;
    let (proxy, door) = proxy(shop(address)).await;
    let cases = cases(include_str!("../corpus/http1.txt"));
    assert!(cases.len() > 120, "{} cases", cases.len());
    for case in &cases {
        let [what, refusal, line] = case[..] else { panic!("three lines: {case:?}") };
        let (place, status) = refusal.split_once(' ').unwrap();
        let request = bytes(line);
        for half_close in if place == "cut" { vec![true] } else { vec![false, true] } {
            let answer = raw(door, &request, half_close).await;
            let line = answer.lines().next().unwrap_or_default();
            assert_eq!(line.split(' ').nth(1), Some(status), "{what}: {answer:?}");
            assert_eq!(answer.matches("HTTP/1.").count(), 1, "{what}: {answer:?}");
            until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
            let got = recorded.text();
            if place == "head" {
                assert_eq!(got, "", "{what} reached the release");
            }
            assert!(!got.contains("\r\n0\r\n") && !got.contains("/smuggled"), "{what}: {got:?}");
        }
    }
    assert_eq!(counted(&proxy, "v1").counts.requests, 0);
}

/// One header block, each field a literal that is not indexed (RFC 7541, 6.2.2).
fn block(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    let string = |out: &mut Vec<u8>, text: &[u8]| {
        // An integer with a prefix of 7 bits (RFC 7541, 5.1).
        let mut left = text.len();
        if left < 127 {
            out.push(u8::try_from(left).unwrap());
        } else {
            out.push(127);
            left -= 127;
            while left >= 128 {
                out.push(u8::try_from(left % 128).unwrap() | 128);
                left /= 128;
            }
            out.push(u8::try_from(left).unwrap());
        }
        out.extend_from_slice(text);
    };
    for (name, value) in fields {
        out.push(0);
        string(&mut out, name);
        string(&mut out, value);
    }
    out
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

/// A request on stream 1, its head in as many frames as it takes.
fn request(fields: &[(Vec<u8>, Vec<u8>)], body: Option<&[u8]>) -> Vec<u8> {
    let block = block(fields);
    let mut pieces: Vec<&[u8]> = block.chunks(16_384).collect();
    let last = pieces.len() - 1;
    let mut out = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for (n, piece) in pieces.drain(..).enumerate() {
        let kind = if n == 0 { HEADERS } else { CONTINUATION };
        let ends = u8::from(n == 0 && body.is_none()) | if n == last { 4 } else { 0 };
        out.extend(frame(kind, ends, 1, piece));
    }
    body.inspect(|body| out.extend(frame(DATA, 1, 1, body)));
    out
}

/// What the proxy says to the first stream: how its answer begins, a reset, or goodbye.
#[derive(Debug, PartialEq)]
enum Said {
    /// The first bytes of the header block.
    Head(Vec<u8>),
    Reset,
    Goodbye,
    End,
}

async fn said(door: SocketAddr, bytes: &[u8]) -> Said {
    let mut stream = TcpStream::connect(door).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    loop {
        let mut head = [0; 9];
        let read = timeout(Duration::from_secs(30), stream.read_exact(&mut head)).await;
        if read.expect("the proxy answers").is_err() {
            return Said::End;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).await.is_err() {
            return Said::End;
        }
        match head[3] {
            HEADERS => return Said::Head(payload),
            RESET => return Said::Reset,
            GOAWAY => return Said::Goodbye,
            _ => {}
        }
    }
}

/// Name and value of a line.
fn field(line: &str) -> (Vec<u8>, Vec<u8>) {
    let (name, value) = line.split_once(" = ").or_else(|| line.split_once(" =")).unwrap();
    (bytes(name), bytes(value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_malformed_request_over_http2_is_accepted() {
    let (recorded, address) = Recorded::listen().await;
    let (proxy, door) = proxy(shop(address)).await;
    let cases = cases(include_str!("../corpus/http2.txt"));
    assert!(cases.len() > 45, "{} cases", cases.len());
    for case in &cases {
        let (what, lines) = case.split_first().unwrap();
        let lines = lines.iter().flat_map(|line| match line.strip_prefix('{') {
            Some(many) => {
                let (line, times) = many.trim_end_matches('}').rsplit_once("\\n*").unwrap();
                vec![line; times.parse().unwrap()]
            }
            None => vec![*line],
        });
        let (data, fields): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("data = "));
        let fields: Vec<_> = fields.into_iter().map(field).collect();
        let body = data.first().map(|line| field(line).1);
        let answer = said(door, &request(&fields, body.as_deref())).await;
        if let Said::Head(block) = &answer {
            // 0x88 to 0x8b are the indices of :status 200, 204, 206 and 304.
            assert!(!(0x88..=0x8b).contains(&block[0]), "{what} is answered well: {answer:?}");
        }
        until("it is over", || observed(&proxy, "shop").in_flight.is_empty()).await;
        assert_eq!(recorded.text(), "", "{what} reached the release");
    }
    assert_eq!(counted(&proxy, "v1").counts.requests, 0);
}

/// A well-formed request, to show that the frames above are what HTTP/2 expects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_well_formed_request_in_the_same_frames_is_accepted() {
    let v1 = crate::kit::Backend::named("v1").await;
    let (_proxy, door) = proxy(shop(v1.address)).await;
    let fields =
        [":method = POST", ":scheme = http", ":authority = a", ":path = /", "te = trailers"];
    let fields: Vec<_> = fields.into_iter().map(field).collect();
    let answer = said(door, &request(&fields, Some(b"hello"))).await;
    assert!(matches!(&answer, Said::Head(block) if block[0] == 0x88), "{answer:?}");
    assert_eq!(v1.requests(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_resets_streams_as_fast_as_it_opens_them_is_sent_away() {
    let (_recorded, address) = Recorded::listen().await;
    let (proxy, door) = proxy(shop(address)).await;
    let fields = [":method = GET", ":scheme = http", ":authority = a", ":path = /"];
    let fields: Vec<_> = fields.into_iter().map(field).collect();
    let mut flood = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    for n in 0..1_000 {
        flood.extend(frame(HEADERS, 5, 2 * n + 1, &block(&fields)));
        flood.extend(frame(RESET, 0, 2 * n + 1, &8_u32.to_be_bytes()));
    }
    assert_eq!(said(door, &flood).await, Said::Goodbye);
    until("nothing is left of it", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counts = counted(&proxy, "v1").counts;
    assert_eq!((counts.requests, counts.failures), (0, 0));
}
