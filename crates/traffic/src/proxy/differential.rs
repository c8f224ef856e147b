//! The same bytes to two readers: ours and httparse, which hyper reads with.
//!
//! What ours lets through must mean the same to the other one: the same end, target, fields
//! and framing. What ours refuses and the other takes must have one of the reasons for which
//! we are strict. A test of 20 000 heads; a longer run is
//!
//! ```text
//! SLUICE_FUZZ_RUNS=50000000 SLUICE_FUZZ_SEED=1 cargo test -p traffic --release differential -- --nocapture
//! ```
//!
//! `crates/traffic/fuzz` holds the same comparisons for a fuzzer that is led by coverage.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::compare::{forwarded, head, passed_on};
use super::head::HeadReader;

const LINE_ENDS: &[&str] = &["\r\n", "\n", "\r", "\r\r\n"];
const METHODS: &[&str] =
    &["GET", "POST", "PUT", "M-SEARCH", "G@T", "", "get", "OPTIONS", "CONNECT"];
const TARGETS: &[&str] = &[
    "/",
    "/a?b=c",
    "*",
    "http://a/",
    "a:80",
    "/%00",
    "/a#b",
    "/\x7f",
    "/\u{e9}",
    "",
    "//x",
    "/ /",
];
const VERSIONS: &[&str] = &[
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/2.0",
    "HTTP/1.1 ",
    "http/1.1",
];
const NAMES: &[&str] = &[
    "X",
    "X-Y_z",
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "Upgrade",
    "Te",
    "Expect",
    "content-length",
    "Host",
    "host",
    "Content-Length ",
    " Host",
    "X\t",
    "",
    "X\u{e9}",
];
const VALUES: &[&str] = &[
    "a",
    "a",
    "5",
    "0",
    "+5",
    "5,5",
    "5 5",
    "0x5",
    "18446744073709551615",
    "99999999999999999999",
    "chunked",
    "Chunked",
    "identity",
    "gzip, chunked",
    "chunked ",
    "\tchunked",
    "upgrade",
    "close",
    "websocket",
    "h2c",
    "",
    " ",
    "a:80",
    "[::1]",
    "a b",
    "a/b",
    "\u{e9}",
    "x\0y",
    "x\x0by",
];
const SIZES: &[&str] = &[
    "5",
    "0",
    "a",
    "A",
    "00",
    "005",
    "ffffffffffffffff",
    "fffffffffffffff",
    "10000000000000000",
    "",
    " 5",
    "5 ",
    "5;a=b",
    "5 ;a",
    "5;\u{e9}",
    "5;\"\r\n\"",
    "0x5",
    "-1",
    "+5",
    "5\t",
    "g",
    "5;a\0",
];

/// A small generator (xorshift64*), so that a seed tells the whole run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % limit
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// The first one mostly, so that a whole head has few oddities, any now and then.
    fn seldom<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        if self.below(24) > 0 { choices[0] } else { self.of(choices) }
    }

    /// A few bytes changed, more often none.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const BYTES: &[u8] = b"\r\n\t :,;\0\x0b\x7f\xa0\xff015aH/#-";
        for _ in 0..self.below(6).saturating_sub(3) {
            let (place, byte) = (self.below(bytes.len().max(1)), BYTES[self.below(BYTES.len())]);
            match self.below(3) {
                0 if !bytes.is_empty() => bytes[place] = byte,
                1 if !bytes.is_empty() => drop(bytes.remove(place)),
                _ => bytes.insert(place, byte),
            }
        }
    }

    /// A body in chunks, most of them as long as they say.
    fn body(&mut self) -> Vec<u8> {
        let mut text = String::new();
        for _ in 0..self.below(4) {
            let (size, end) = (self.seldom(SIZES), self.seldom(LINE_ENDS));
            let data = ["hello", "", "helloworld"][self.below(12).saturating_sub(9)];
            write!(text, "{size}\r\n{data}{end}").unwrap();
        }
        write!(text, "0{}", self.seldom(LINE_ENDS)).unwrap();
        if self.below(3) == 0 {
            write!(text, "{}: {}\r\n", self.seldom(NAMES), self.of(VALUES)).unwrap();
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        self.mutate(&mut bytes);
        bytes
    }

    fn head(&mut self) -> Vec<u8> {
        let mut text = String::new();
        if self.below(20) == 0 {
            text.push_str(&self.of(LINE_ENDS).repeat(1 + self.below(6)));
        }
        let (method, target) = (self.seldom(METHODS), self.seldom(TARGETS));
        let (version, end) = (self.seldom(VERSIONS), self.seldom(LINE_ENDS));
        write!(text, "{method} {target} {version}{end}").unwrap();
        if self.below(8) > 0 {
            text.push_str("Host: a\r\n");
        }
        for _ in 0..self.below(5) {
            let name = if self.below(3) > 0 { self.of(&NAMES[..9]) } else { self.seldom(NAMES) };
            let (value, end) = (self.of(VALUES), self.seldom(LINE_ENDS));
            write!(text, "{name}: {value}{end}").unwrap();
        }
        text.push_str(self.seldom(LINE_ENDS));
        let mut bytes = text.into_bytes();
        self.mutate(&mut bytes);
        bytes.extend_from_slice(b"5\r\nhello\r\n0\r\n\r\n");
        bytes
    }
}

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a whole number"))
}

#[test]
fn what_is_let_through_means_the_same_to_httparse_and_what_is_not_has_a_reason() {
    let runs = number_of("SLUICE_FUZZ_RUNS", 20_000);
    let seed = number_of("SLUICE_FUZZ_SEED", 1);
    let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut outcomes: BTreeMap<&'static str, u64> = BTreeMap::new();
    for run in 0..runs {
        let bytes = draw.head();
        let cut = draw.below(bytes.len());
        let told = || format!("run {run} of seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
        let outcome =
            std::panic::catch_unwind(|| head(&bytes, cut)).unwrap_or_else(|_| panic!("{}", told()));
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{runs} heads of seed {seed}, no disagreement: {outcomes:#?}");
    assert!(runs < 10_000 || outcomes["both take it, as the same"] > runs / 50, "{outcomes:?}");
}

#[test]
fn a_plain_request_goes_on_as_one_request() {
    let (runs, mut draw) = (number_of("SLUICE_FUZZ_RUNS", 20_000), Draw(7));
    let taken = (0..runs).filter(|_| forwarded(&draw.head())).count() as u64;
    println!("{taken} of {runs} heads are plain and go on as one request");
    assert!(taken > runs / 100, "{taken}");
}

#[test]
fn a_body_in_chunks_goes_on_as_the_same_body() {
    let (runs, mut draw) = (number_of("SLUICE_FUZZ_RUNS", 20_000), Draw(7));
    let taken = (0..runs).filter(|_| passed_on(&draw.body())).count() as u64;
    println!("{taken} of {runs} bodies are read and go on as the same");
    assert!(taken > runs / 100, "{taken}");
}

#[test]
fn chunk_sizes_mean_the_same_to_httparse() {
    let runs = number_of("SLUICE_FUZZ_RUNS", 20_000);
    let seed = number_of("SLUICE_FUZZ_SEED", 1);
    let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut taken = 0_u64;
    for run in 0..runs {
        let mut line = format!("{}{}", draw.of(SIZES), draw.seldom(LINE_ENDS)).into_bytes();
        draw.mutate(&mut line);
        let mut reader = HeadReader::new();
        reader.read(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let mine = line
            .iter()
            .position(|byte| reader.read(&[*byte]).is_err() || reader.chunk_left().is_some());
        let Some((end, left)) = mine.and_then(|last| Some((last + 1, reader.chunk_left()?))) else {
            continue;
        };
        taken += 1;
        let other = httparse::parse_chunk_size(&line);
        let same = matches!(other, Ok(httparse::Status::Complete((at, size))) if (at, size) == (end, left));
        let text = String::from_utf8_lossy(&line);
        assert!(same, "run {run} of seed {seed}: {text:?}: {left} at {end}, theirs {other:?}");
    }
    println!("{taken} of {runs} chunk sizes of seed {seed} taken, no disagreement");
    assert!(runs < 10_000 || taken > runs / 50);
}
