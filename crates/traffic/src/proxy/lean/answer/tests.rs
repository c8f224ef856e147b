use super::*;

/// What a head comes to, and what the client reads of it.
fn taken(text: &str) -> (Read, String) {
    let mut out = Vec::new();
    let (_, read) = read(text.as_bytes(), false, &mut out);
    (read, String::from_utf8(out).unwrap())
}

fn framing(fields: &str) -> Option<Framing> {
    match taken(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).0 {
        Read::Whole(head) => Some(head.framing),
        Read::Partial | Read::Malformed => None,
    }
}

#[test]
fn the_head_goes_on_without_what_concerns_the_connection() {
    let (read, out) = taken(
        "HTTP/1.1 404 Not Here\r\nX-Kept: 1\r\nConnection: keep-alive, X-Mine, content-length\r\n\
         x-mine: 2\r\nKeep-Alive: 5\r\nContent-Length: 3\r\nContent-Length: 3\r\nUpgrade: h2c\r\n\r\n",
    );
    let head = Head {
        status: 404,
        framing: Framing::Length(3),
        keeps: true,
        grpc: false,
        grpc_failed: false,
    };
    assert_eq!(read, Read::Whole(head));
    assert_eq!(out, "HTTP/1.1 404 Not Here\r\nX-Kept: 1\r\nContent-Length: 3\r\n");
}

#[test]
fn how_a_body_ends_is_known_or_the_answer_is_none() {
    let chunked = "Transfer-Encoding: Chunked\r\n";
    for (fields, expected) in [
        ("Content-Length: 5\r\n", Some(Framing::Length(5))),
        (chunked, Some(Framing::Chunked)),
        ("Content-Length: 5\r\ntransfer-encoding: chunked\r\n", Some(Framing::Chunked)),
        ("", Some(Framing::Close)),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", None),
        ("Content-Length: 5, 5\r\n", None),
        ("Content-Length: +5\r\n", None),
        ("Content-Length:\r\n", None),
        ("Transfer-Encoding: gzip, chunked\r\n", None),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", None),
        ("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", Some(Framing::Close)),
        ("Transfer-Encoding:\r\n", Some(Framing::Close)),
        ("X: a\r\n b\r\n", None),
        ("X : a\r\n", None),
    ] {
        assert_eq!(framing(fields), expected, "{fields:?}");
    }
    let (read, _) = taken(&format!("HTTP/1.0 200 OK\r\n{chunked}\r\n"));
    assert_eq!(read, Read::Malformed);
}

#[test]
fn a_length_beside_chunks_is_not_passed_on() {
    let (_, out) =
        taken("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(out, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n");
    let (_, out) = taken("HTTP/1.0 200 OK\r\n\r\n");
    assert_eq!(out, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n");
}

#[test]
fn some_answers_have_no_body_whatever_they_say() {
    for (status, out_has_length) in [(204, false), (304, true)] {
        let (read, out) = taken(&format!("HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n"));
        assert!(matches!(read, Read::Whole(head) if head.framing == Framing::Length(0)));
        assert_eq!(out.contains("Content-Length"), out_has_length, "{out}");
    }
    let mut out = Vec::new();
    let (_, to_head) = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, &mut out);
    assert!(matches!(to_head, Read::Whole(head) if head.framing == Framing::Length(0)));
    assert!(out.ends_with(b"Content-Length: 5\r\n"));
}

#[test]
fn a_connection_is_kept_as_both_versions_have_it() {
    for (head, keeps) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, close\r\n\r\n", false),
    ] {
        let (Read::Whole(read), _) = taken(head) else { panic!("{head}") };
        assert_eq!(read.keeps, keeps, "{head}");
    }
}

#[test]
fn interim_heads_are_passed_over_and_a_change_of_protocol_is_none_of_ours() {
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200";
    assert_eq!(read(interim, false, &mut Vec::new()), (37, Read::Partial));
    assert_eq!(taken("HTTP/1.1 101 Switching Protocols\r\n\r\n").0, Read::Malformed);
    assert_eq!(taken("HTTP/1.1 200 OK\r\nX").0, Read::Partial);
    assert_eq!(taken("220 ftp ready\r\n").0, Read::Malformed);
}

#[test]
fn a_call_of_grpc_says_how_it_went() {
    let (Read::Whole(head), _) = taken(
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 13\r\n\
         content-length: 0\r\n\r\n",
    ) else {
        panic!("whole")
    };
    assert!(head.grpc && head.grpc_failed);
}
