//! The access log.

use http::Request;
use serde_json::Value;
use traffic::{AccessLog, Proxy, ProxySettings};

use crate::kit::{Backend, Http, full, observed, shop, snapshot, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_one_line_without_query_or_key() {
    let v1 = Backend::named("v1").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let access_log = Some(AccessLog::File(path.clone()));
    let proxy = Proxy::start(ProxySettings { threads: 2, access_log }).unwrap();
    proxy.apply(snapshot(1, [shop(v1.address)])).unwrap();
    let mut http = Http::connect(observed(&proxy, "shop").listening.unwrap()).await;
    for user in ["alice", "bob", "alice"] {
        let request =
            Request::post("/buy?card=4111").header("x-user", user).body(full("four")).unwrap();
        assert_eq!(http.send(request).await.unwrap().text(), "v1");
    }
    let mut text = String::new();
    until("three lines are written", || {
        text = std::fs::read_to_string(&path).unwrap();
        text.lines().count() == 3
    })
    .await;
    assert!(!text.contains("4111") && !text.contains("alice"), "{text}");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (field, value) in [
        ("service", Value::from("shop")),
        ("track", Value::from("stable")),
        ("release", Value::from("v1")),
        ("method", Value::from("POST")),
        ("path", Value::from("/buy")),
        ("version", Value::from("1.1")),
        ("client", Value::from("127.0.0.1")),
        ("status", Value::from(200)),
        ("bytes_in", Value::from(4)),
        ("bytes_out", Value::from(2)),
    ] {
        assert_eq!(lines[0][field], value, "{field} in {text}");
    }
    assert!(lines[0]["us"].as_u64() >= lines[0]["first_byte_us"].as_u64());
    assert_eq!(lines[0]["user"], lines[2]["user"]);
    assert_ne!(lines[0]["user"], lines[1]["user"]);
    assert_eq!(proxy.counters().log_lines_dropped, 0);
}

#[test]
fn a_log_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let access_log = Some(AccessLog::File(folder.path().join("nowhere").join("access.log")));
    let refused = Proxy::start(ProxySettings { threads: 1, access_log }).unwrap_err().to_string();
    assert!(refused.starts_with("access log ") && refused.contains("nowhere"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_nobody_is_for_is_one_line_too() {
    let v1 = Backend::named("v1").await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let access_log = Some(AccessLog::File(path.clone()));
    let proxy = Proxy::start(ProxySettings { threads: 1, access_log }).unwrap();
    let (mut api, mut none) = (shop(v1.address), shop(v1.address));
    api.route.paths = vec!["/api".to_owned()];
    (none.service, none.stable) = ("none".to_owned(), None);
    none.route.paths = vec!["/none".to_owned()];
    proxy.apply(snapshot(1, [api, none])).unwrap();
    let mut http = Http::connect(observed(&proxy, "shop").listening.unwrap()).await;
    // By the path that plain requests take, and by hyper's.
    for version in ["", "websocket"] {
        for target in ["/", "/x/../api", "/none"] {
            let mut request = Request::get(target);
            if !version.is_empty() {
                request = request.header("upgrade", version).header("connection", "upgrade");
            }
            http.send(request.body(full("")).unwrap()).await.unwrap();
            if !version.is_empty() {
                http = Http::connect(observed(&proxy, "shop").listening.unwrap()).await;
            }
        }
    }
    let mut text = String::new();
    until("six lines are written", || {
        text = std::fs::read_to_string(&path).unwrap();
        text.lines().count() == 6
    })
    .await;
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [("-", 404), ("-", 400), ("none", 503)];
    for (line, (service, status)) in lines.iter().zip(expected.iter().cycle()) {
        assert_eq!((&line["service"], &line["track"]), (&Value::from(*service), &Value::from("-")));
        assert_eq!(line["status"], *status, "{text}");
    }
    let counters = proxy.counters();
    assert_eq!(counters.unrouted.into_values().sum::<u64>(), 4);
    assert_eq!(counters.services["none"].unserved, 2);
}
