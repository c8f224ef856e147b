//! What is removed and what is added, field by field.

use super::super::origin::Origin;
use super::*;

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

#[test]
fn what_connection_names_is_removed_but_never_the_host_or_the_length() {
    let mut headers = map(&[
        ("connection", "close, X-Secret, host"),
        ("connection", "content-length"),
        ("x-secret", "1"),
        ("host", "a"),
        ("content-length", "3"),
        ("keep-alive", "timeout=5"),
        ("te", "gzip"),
        ("upgrade", "h2c"),
        ("x-kept", "1"),
    ]);
    remove_hop_by_hop(&mut headers);
    assert_eq!(headers, map(&[("host", "a"), ("content-length", "3"), ("x-kept", "1")]));
}

#[test]
fn trailers_keep_what_is_said_of_the_message_alone() {
    let mut trailers = map(&[
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("upgrade", "h2c"),
        ("transfer-encoding", "chunked"),
        ("content-length", "3"),
        ("host", "a"),
        ("x-checksum", "5"),
    ]);
    clean_trailers(&mut trailers);
    assert_eq!(trailers, map(&[("x-checksum", "5")]));
}

#[test]
fn only_chunks_are_no_coding() {
    for (lines, coded) in [
        (&[][..], false),
        (&["chunked"], false),
        (&["Chunked"], false),
        (&["identity"], false),
        (&["gzip, chunked"], true),
        (&["gzip", "chunked"], true),
        (&["deflate"], true),
    ] {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(TRANSFER_ENCODING, HeaderValue::from_static(line));
        }
        assert_eq!(is_coded(&headers), coded, "{lines:?}");
    }
}

#[test]
fn claims_about_the_origin_are_replaced_and_via_is_extended() {
    let mut headers = map(&[
        ("host", "shop"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "for=6.6.6.6"),
        ("cookie", "a=1; sluice_session=x"),
        ("via", "1.0 before"),
        ("expect", "100-continue"),
        ("te", "trailers, gzip"),
    ]);
    let origin = Origin::new("[::1]:9".parse().unwrap(), true, &[]);
    for_upstream(&mut headers, Version::HTTP_2, &origin.asker(&HeaderMap::new()), None);
    let expected = map(&[
        ("host", "shop"),
        ("x-forwarded-for", "::1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop"),
        ("forwarded", "for=\"[::1]\";proto=https"),
        ("cookie", "a=1"),
        ("via", "1.0 before"),
        ("via", "2 sluice"),
        ("te", "trailers"),
    ]);
    assert_eq!(headers, expected);
}

#[test]
fn an_upgrade_is_asked_for_by_both_fields() {
    assert_eq!(upgrade_asked(&map(&[("upgrade", "websocket")])), None);
    let asked = map(&[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")]);
    assert_eq!(upgrade_asked(&asked).unwrap(), "websocket");
}

#[test]
fn a_request_goes_in_circles_when_it_comes_by_for_the_ninth_time() {
    let mut headers = map(&[("via", "1.1 varnish, 1.1 sluiceway")]);
    for _ in 0..HOPS {
        assert!(!is_in_circles(&headers), "{headers:?}");
        headers.append(VIA, via(Version::HTTP_11));
    }
    assert!(is_in_circles(&headers));
    let line = "1.1 sluice, 2 sluice, 1.1 sluice, 1.0 sluice";
    assert!(is_in_circles(&map(&[("via", line), ("via", line)])));
}

#[test]
fn h2c_is_asked_for_in_no_company() {
    for protocols in ["h2c", "H2C", "h2c,", "h2c, x", "websocket,h2c"] {
        let headers = map(&[("upgrade", protocols), ("connection", "upgrade")]);
        assert_eq!(upgrade_asked(&headers), None, "{protocols}");
    }
    let lines = [("upgrade", "websocket"), ("upgrade", "h2c"), ("connection", "upgrade")];
    assert_eq!(upgrade_asked(&map(&lines)), None);
}

#[test]
fn only_what_was_asked_for_is_granted() {
    let asked = HeaderValue::from_static("websocket, Chat/2");
    for (answer, granted) in [
        (&[][..], Some("websocket, Chat/2")),
        (&[("upgrade", "WebSocket")], Some("WebSocket")),
        (&[("upgrade", "chat/2, websocket")], Some("chat/2, websocket")),
        (&[("upgrade", "h2c")], None),
        (&[("upgrade", "websocket, h2c")], None),
        (&[("upgrade", "websocket"), ("upgrade", "h2c")], None),
        (&[("upgrade", "")], None),
    ] {
        let granted = granted.map(HeaderValue::from_static);
        assert_eq!(upgrade_granted(&map(answer), &asked), granted, "{answer:?}");
    }
}
