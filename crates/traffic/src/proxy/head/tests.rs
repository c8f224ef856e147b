//! What is let through and what is refused, however the bytes are cut.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Whether a connection's bytes are accepted, whole and cut at every place.
fn accepts(bytes: &str) -> bool {
    let whole = HeadReader::new().read(bytes.as_bytes()).is_ok();
    for cut in 0..=bytes.len() {
        let mut reader = HeadReader::new();
        let (first, second) = bytes.as_bytes().split_at(cut);
        let both = reader.read(first).and_then(|()| reader.read(second)).is_ok();
        assert_eq!(both, whole, "cut at {cut} of {bytes:?}");
    }
    whole
}

#[test]
fn plain_messages_pass_however_they_are_cut() {
    for bytes in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "\r\nGET /?q=1 HTTP/1.1\r\nHost: [::1]:80\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\r\n\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nT: 1\r\n\r\n",
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n\0\n\r",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert!(accepts(bytes), "{bytes:?}");
    }
}

#[test]
fn ambiguous_or_malformed_messages_are_refused_however_they_are_cut() {
    for bytes in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
    ] {
        assert!(!accepts(bytes), "{bytes:?}");
    }
}

#[test]
fn a_refusal_names_the_line_it_stands_in() {
    let good = "GET / HTTP/1.1\r\n";
    let refused = HeadReader::new().read(format!("{good}Host : a\r\n").as_bytes());
    assert_eq!(refused, Err(Refused { at: good.len() }));
}

/// One whole request: its head and, where it has one, its body.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        Just(None),
        vec(any::<u8>(), 0..40).prop_map(|body| {
            let mut bytes = format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes();
            bytes.extend(body);
            Some(bytes)
        }),
        vec(vec(any::<u8>(), 1..20), 0..4).prop_map(|chunks| {
            let mut bytes = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in chunks {
                bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                bytes.extend(chunk);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
            Some(bytes)
        }),
    ];
    body.prop_map(|body| {
        let mut bytes = b"POST /x HTTP/1.1\r\nHost: a\r\n".to_vec();
        bytes.extend(body.unwrap_or_else(|| b"\r\n".to_vec()));
        bytes
    })
}

proptest! {
    #[test]
    fn every_request_of_a_connection_is_seen_however_the_bytes_are_cut(
        requests in vec(request(), 1..5), cuts in vec(1_usize..30, 1..60),
    ) {
        let bytes = requests.concat();
        let (mut reader, mut rest, mut cuts) = (HeadReader::new(), &bytes[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            prop_assert_eq!(reader.read(piece), Ok(()));
            rest = later;
        }
        prop_assert_eq!(usize::try_from(reader.heads()).unwrap(), requests.len());
        prop_assert!(reader.between_messages());
    }
}
