//! Clients and servers other people wrote: curl, h2load, gRPC's own. `./test` installs them.

use std::net::SocketAddr;
use std::process::Stdio;

use http::Response;
use http_body_util::BodyExt;
use rollout::route::{Protocol, TlsRoute};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use traffic::Health;

use crate::kit::{Backend, counted, full, observed, proxy, shop, until};

/// What a command prints, which must succeed.
async fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}{errors}");
    text
}

/// Answers with what was sent.
async fn echo() -> Backend {
    Backend::start(|request| async {
        Response::new(full(request.into_body().collect().await.unwrap().to_bytes()))
    })
    .await
}

async fn curl(address: SocketAddr, scheme: &str, version: &str) -> String {
    let target = format!("{scheme}://{address}/buy?n=1");
    let told = " over %{http_version}: %{http_code}";
    let sent = ["--data-binary", "four", "--max-time", "30", "--write-out", told, &target];
    run("curl", &[&["--silent", "--show-error", "--insecure", version][..], &sent].concat()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_is_answered_in_every_version_it_asks_for() {
    let v1 = echo().await;
    let (_plain, address) = proxy(shop(v1.address)).await;
    for (version, expected) in [
        ("--http1.1", "four over 1.1: 200"),
        ("--http2-prior-knowledge", "four over 2: 200"),
        // Asks to upgrade from HTTP/1.1, which is not done: the answer stays there.
        ("--http2", "four over 1.1: 200"),
    ] {
        assert_eq!(curl(address, "http", version).await, expected, "{version}");
    }
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data");
    let mut service = shop(v1.address);
    let (certificate, key) = (format!("{data}/one.pem"), format!("{data}/one.key"));
    service.door.tls = Some(TlsRoute { certificate, key });
    let (_secure, address) = proxy(service).await;
    for (version, expected) in [
        ("--http1.1", "four over 1.1: 200"),
        ("--http2", "four over 2: 200"),
        ("--tlsv1.3", "four over 2: 200"),
    ] {
        assert_eq!(curl(address, "https", version).await, expected, "{version}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h2load_loses_no_request_on_a_few_connections_with_many_streams() {
    let v1 = Backend::start(|_| async { Response::new(full(vec![b'x'; 10_000])) }).await;
    let (proxy, address) = proxy(shop(v1.address)).await;
    let target = format!("http://{address}/");
    let text = run("h2load", &["-n", "3000", "-c", "4", "-m", "50", &target]).await;
    let expected = "3000 total, 3000 started, 3000 done, 3000 succeeded, 0 failed, 0 errored";
    assert!(text.contains(expected), "{text}");
    until("all are over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.counts.failures), (3_000, 0));
    assert_eq!(counted.bytes_out, 30_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_grpcs_own_client_reach_grpcs_own_server_and_come_back_whole() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/data/grpc_peer.py");
    // Debian's, which has its packages.
    let python = "/usr/bin/python3";
    let mut server = Command::new(python)
        .args([script, "serve"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).await.unwrap();
    let mut service = shop(format!("127.0.0.1:{}", port.trim()).parse().unwrap());
    service.stable.as_mut().unwrap().protocol = Protocol::H2c;
    "/grpc.health.v1.Health/Check".clone_into(&mut service.health.path);
    let (proxy, address) = proxy(service).await;
    assert_eq!(observed(&proxy, "shop").upstreams[0].health, Health::Healthy);
    let told = run(python, &[script, "call", &address.to_string()]).await;
    assert_eq!(told, "all as it should be\n");
    until("all are over", || observed(&proxy, "shop").in_flight.is_empty()).await;
    let counted = counted(&proxy, "v1");
    assert_eq!((counted.counts.requests, counted.counts.failures), (205, 1));
}
