use super::*;

/// What becomes of a body that comes `step` bytes at a time.
fn passed(body: &[u8], step: usize, trailers: bool) -> Result<(String, usize), Malformed> {
    let (mut chunks, mut held, mut out, mut data) = (Chunks::default(), Vec::new(), Vec::new(), 0);
    for piece in body.chunks(step) {
        held.extend_from_slice(piece);
        let (used, more) = chunks.pass(&held, trailers, &mut out)?;
        held.drain(..used);
        data += more;
    }
    assert_eq!(chunks.is_done(), out.ends_with(b"0\r\n\r\n") || trailers);
    Ok((String::from_utf8(out).unwrap(), data))
}

#[test]
fn a_body_is_passed_on_without_padding_and_extensions() {
    let body = b"5;a=b\r\nhello\r\n00000000B \r\n, you there\r\n0\r\nx: 1\r\nTE: x\r\n\r\n";
    let whole = "5\r\nhello\r\nb\r\n, you there\r\n0\r\n\r\n";
    assert_eq!(passed(body, 100, false), Ok((whole.to_owned(), 16)));
    let whole = "5\r\nhello\r\nb\r\n, you there\r\n0\r\nx: 1\r\n\r\n";
    assert_eq!(passed(body, 100, true), Ok((whole.to_owned(), 16)));
    let (pieces, data) = passed(body, 1, false).unwrap();
    assert_eq!((pieces.matches("1\r\n").count(), data), (16, 16), "{pieces:?}");
}

#[test]
fn sizes_are_written_in_hexadecimal() {
    for (length, size) in [(1, "1"), (15, "f"), (16, "10"), (4096, "1000")] {
        let mut out = Vec::new();
        write(&mut out, &vec![b'x'; length]);
        assert!(out.starts_with(format!("{size}\r\n").as_bytes()), "{length}");
        assert_eq!(out.len(), length + size.len() + 4);
    }
    let mut out = Vec::new();
    write(&mut out, b"");
    assert!(out.is_empty());
}

#[test]
fn what_is_no_chunk_is_refused() {
    for body in [
        &b"\r\n"[..],
        b"g\r\n",
        b"-1\r\n",
        b"0x1\r\na\r\n",
        b"1\na\r\n",
        b"1\r\nab\r\n",
        b"1 1\r\na\r\n",
        b"1\x0c\r\na\r\n",
        b"1234567890123456\r\n",
        b"0\r\nno field\r\n\r\n",
        b"0\r\n x: 1\r\n\r\n",
    ] {
        assert_eq!(passed(body, 100, true), Err(Malformed), "{body:?}");
    }
    assert_eq!(passed(&[b'0'; LINE_BYTES + 1], 9_999, true), Err(Malformed));
}

#[test]
fn trailers_say_how_a_call_went() {
    let mut chunks = Chunks::default();
    chunks.pass(b"0\r\ngrpc-status: 14\r\n\r\n", false, &mut Vec::new()).unwrap();
    assert!(chunks.grpc_failed);
}
