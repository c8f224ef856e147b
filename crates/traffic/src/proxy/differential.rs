//! The same bytes to two readers: ours and httparse, which hyper reads with.
//!
//! What ours lets through must mean the same to the other one: the same end, target, fields
//! and framing. What ours refuses and the other takes must have one of the reasons for which
//! we are strict. A test of 20 000 heads; a longer run is
//!
//! ```text
//! SLUICE_FUZZ_RUNS=50000000 SLUICE_FUZZ_SEED=1 cargo test -p traffic --release differential -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

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

/// What a head says, as far as framing and routing go.
#[derive(Debug, PartialEq)]
struct Meant {
    end: usize,
    length: Option<u64>,
    chunked: bool,
}

/// Byte by byte; `None` refuses, and 0 is the end of a head that is not whole.
fn ours(bytes: &[u8]) -> Option<Meant> {
    let mut reader = HeadReader::new();
    for (n, byte) in bytes.iter().enumerate() {
        reader.read(&[*byte]).ok()?;
        if reader.heads() == 1 {
            let (length, chunked) = reader.framing();
            return Some(Meant { end: n + 1, length, chunked });
        }
    }
    Some(Meant { end: 0, length: None, chunked: false })
}

/// Whether it refuses the same bytes cut in two at `cut`.
fn refuses_in_two(bytes: &[u8], cut: usize) -> bool {
    let mut reader = HeadReader::new();
    let (first, second) = bytes.split_at(cut);
    reader.read(first).and_then(|()| reader.read(second)).is_err()
}

/// How httparse reads it, and why we would refuse what it takes.
fn theirs(bytes: &[u8]) -> Option<(Meant, Option<&'static str>)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let end = match request.parse(bytes).ok()? {
        httparse::Status::Complete(end) => end,
        httparse::Status::Partial => {
            return Some((Meant { end: 0, length: None, chunked: false }, None));
        }
    };
    let all = |name: &str| -> Vec<&[u8]> {
        let named = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
        named.map(|field| field.value.trim_ascii()).collect()
    };
    let (lengths, codings, hosts) = (all("content-length"), all("transfer-encoding"), all("host"));
    let number = |value: &&[u8]| std::str::from_utf8(value).ok()?.parse::<u64>().ok();
    let meant = Meant {
        end,
        length: lengths.first().and_then(number),
        chunked: codings.first().is_some_and(|value| value.eq_ignore_ascii_case(b"chunked")),
    };
    let head = &bytes[..end];
    let http_11 = request.version == Some(1);
    let host = |value: &&[u8]| {
        !value.is_empty()
            && value
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
    };
    let plain =
        |value: &&[u8]| (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let begins = head.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or_default();
    let why = [
        (
            "a bare LF",
            head.iter()
                .enumerate()
                .any(|(n, &byte)| byte == b'\n' && (n == 0 || head[n - 1] != b'\r')),
        ),
        ("empty lines", begins > 8),
        ("the hosts", hosts.len() > 1 || (http_11 && hosts.is_empty()) || !hosts.iter().all(host)),
        ("the length", lengths.len() > 1 || !lengths.iter().all(plain)),
        (
            "the coding",
            !codings.is_empty()
                && (codings.len() > 1 || !meant.chunked || !http_11 || !lengths.is_empty()),
        ),
        (
            "the target",
            request
                .path
                .unwrap_or_default()
                .bytes()
                .any(|byte| byte <= b' ' || byte == 0x7f || byte == b'#'),
        ),
    ];
    Some((meant, why.iter().find(|(_, so)| *so).map(|(why, _)| *why)))
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
        let text = || format!("run {run} of seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
        let (mine, other) = (ours(&bytes), theirs(&bytes));
        let whole = refuses_in_two(&bytes, 0);
        assert_eq!(refuses_in_two(&bytes, draw.below(bytes.len())), whole, "cut, {}", text());
        let outcome = match (mine, other) {
            (Some(mine), Some((other, _))) if mine.end > 0 => {
                assert_eq!(mine, other, "{}", text());
                "both take it, as the same"
            }
            (Some(mine), None) => {
                assert_eq!(mine.end, 0, "taken by us alone: {}", text());
                "theirs refuses before ours has all of it"
            }
            (Some(_), Some((other, why))) => {
                assert!(other.end == 0 || why.is_some(), "only theirs has all of it: {}", text());
                "neither has all of it"
            }
            (None, None) => "both refuse it",
            (None, Some((other, _))) if other.end == 0 => {
                "ours refuses before theirs has all of it"
            }
            (None, Some((_, why))) => {
                why.unwrap_or_else(|| panic!("no reason to refuse {}", text()))
            }
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("{runs} heads of seed {seed}, no disagreement: {outcomes:#?}");
    assert!(runs < 10_000 || outcomes["both take it, as the same"] > runs / 50, "{outcomes:?}");
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
