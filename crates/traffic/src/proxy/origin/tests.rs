//! Who is believed, and what becomes of what is said.

use super::*;

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    map
}

/// What becomes of a request with these fields from 10.0.0.1: the client, and the fields.
fn told(believed: &[&str], fields: &[(&'static str, &'static str)]) -> (String, HeaderMap) {
    let believed: Vec<IpNet> = believed.iter().map(|text| text.parse().unwrap()).collect();
    let origin = Origin::new("10.0.0.1:9".parse().unwrap(), false, &believed);
    let mut headers = map(fields);
    let asker = origin.asker(&headers);
    asker.tell(&mut headers);
    (asker.address.clone(), headers)
}

#[test]
fn nobody_is_believed_unless_listed() {
    let claims = [
        ("host", "shop"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("forwarded", "for=6.6.6.6"),
    ];
    for believed in [&[][..], &["10.0.0.2/32", "fd00::/8"]] {
        let expected = map(&[
            ("host", "shop"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "shop"),
            ("forwarded", "for=10.0.0.1;proto=http"),
        ]);
        assert_eq!(told(believed, &claims), ("10.0.0.1".to_owned(), expected));
    }
}

#[test]
fn the_client_is_the_last_address_that_is_no_believed_proxys() {
    for (fields, client, forwarded_for) in [
        (
            &[("x-forwarded-for", "6.6.6.6, 7.7.7.7, 10.0.0.9")][..],
            "7.7.7.7",
            "6.6.6.6, 7.7.7.7, 10.0.0.9, 10.0.0.1",
        ),
        (
            &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "7.7.7.7")],
            "7.7.7.7",
            "6.6.6.6, 7.7.7.7, 10.0.0.1",
        ),
        (&[("x-forwarded-for", "10.0.0.3,10.0.0.2")], "10.0.0.3", "10.0.0.3, 10.0.0.2, 10.0.0.1"),
        (&[("x-forwarded-for", "7.7.7.7:4000")], "7.7.7.7", "7.7.7.7:4000, 10.0.0.1"),
        (
            &[("x-forwarded-for", "7.7.7.7, unknown, 10.0.0.2")],
            "10.0.0.2",
            "7.7.7.7, unknown, 10.0.0.2, 10.0.0.1",
        ),
        (&[("x-forwarded-for", "[2001:db8::1]:80")], "2001:db8::1", "[2001:db8::1]:80, 10.0.0.1"),
        (
            &[("forwarded", "for=6.6.6.6, For=\"[2001:db8::1]:80\";proto=https")],
            "2001:db8::1",
            "2001:db8::1, 10.0.0.1",
        ),
        (&[("forwarded", "by=x;proto=https")], "10.0.0.1", "10.0.0.1"),
        (&[], "10.0.0.1", "10.0.0.1"),
    ] {
        let (address, headers) = told(&["10.0.0.0/8"], fields);
        assert_eq!(
            (address.as_str(), &headers[FORWARDED_FOR]),
            (client, &value(forwarded_for)),
            "{fields:?}"
        );
    }
}

#[test]
fn what_a_believed_proxy_was_asked_is_passed_on() {
    let fields = [
        ("host", "inside:8080"),
        ("x-forwarded-for", "7.7.7.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
    ];
    let (_, headers) = told(&["10.0.0.1/32"], &fields);
    let expected = map(&[
        ("host", "inside:8080"),
        ("x-forwarded-for", "7.7.7.7, 10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("forwarded", "for=7.7.7.7;proto=https"),
    ]);
    assert_eq!(headers, expected);
    let fields = [
        ("forwarded", "for=7.7.7.7"),
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", "a/b"),
    ];
    let (_, headers) = told(&["10.0.0.1/32"], &fields);
    assert_eq!(headers["forwarded"], "for=7.7.7.7, for=10.0.0.1;proto=http");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert!(!headers.contains_key("x-forwarded-host"));
}

#[test]
fn a_client_cannot_put_words_into_the_mouth_of_a_proxy_that_sets_only_one_of_the_two() {
    let fields = [("x-forwarded-for", "6.6.6.6, 7.7.7.7"), ("forwarded", "for=6.6.6.6")];
    let (client, headers) = told(&["10.0.0.1/32"], &fields);
    assert_eq!(
        (client.as_str(), &headers["forwarded"]),
        ("7.7.7.7", &value("for=7.7.7.7;proto=http"))
    );
}
