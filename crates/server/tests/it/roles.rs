//! What this test binary is when a test starts it as another process: a service to deploy, or a
//! controller to kill.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rollout::plan::Webhook;
use rollout::units::Timestamp;
use server::notifiers;

use crate::deployer::world;

/// The variable that names the role.
pub(crate) const ROLE: &str = "IT_ROLE";

/// The words that start this binary in a role (which `IT_ROLE` then names).
pub(crate) fn command() -> Vec<String> {
    let binary = std::env::current_exe().unwrap();
    let words =
        ["--exact", "roles::plays_the_role_it_was_started_for", "--nocapture", "--test-threads=1"];
    std::iter::once(binary.to_str().unwrap()).chain(words).map(str::to_owned).collect()
}

#[test]
fn plays_the_role_it_was_started_for() {
    match std::env::var(ROLE).as_deref() {
        Ok("service") => serve("200 OK"),
        Ok("unhealthy") => serve("503 Service Unavailable"),
        Ok("slow") => serve_after(Duration::from_secs(11), "200 OK"),
        Ok("stubborn") => ignore_termination(),
        Ok("broken") => {
            eprintln!("the database is not there");
            std::process::exit(3);
        }
        Ok("controller") => control(),
        Ok("courier") => send(),
        Ok(other) => panic!("no such role: {other}"),
        // Run among the other tests: a process with no such role must fail, which is how a typo
        // in a test above shows.
        Err(_) => {
            let [program, words @ ..] =
                command().try_into().map(|words: [String; 5]| words).unwrap();
            let outcome =
                Command::new(program).args(words).env(ROLE, "no-such-role").output().unwrap();
            assert!(!outcome.status.success());
        }
    }
}

/// Answers every request with `status`, and says which process and version it is.
fn serve(status: &str) {
    serve_after(Duration::ZERO, status);
}

/// The same, each time after a pause.
fn serve_after(pause: Duration, status: &str) {
    let port = std::env::var("PORT").unwrap();
    let version = std::env::var("SLUICE_VERSION").unwrap();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    println!("listening on {port}");
    for stream in listener.incoming() {
        std::thread::sleep(pause);
        let _gone = answer(stream.unwrap(), status, &version);
    }
}

fn answer(mut stream: TcpStream, status: &str, version: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let body = format!("{} {version}", std::process::id());
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Serves, and does not end when it is asked to.
fn ignore_termination() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _guard = runtime.enter();
    let kind = tokio::signal::unix::SignalKind::terminate();
    let _caught = tokio::signal::unix::signal(kind).unwrap();
    serve("200 OK");
}

/// Sends one message.
fn send() {
    let webhook = Webhook { url: std::env::var("IT_URL").unwrap(), secret: None };
    let client = notifiers::client().unwrap();
    let delivery = notifiers::deliver(&client, &webhook, "key", Timestamp(0), "{}");
    tokio::runtime::Runtime::new().unwrap().block_on(delivery).unwrap();
}

/// A controller that wants one service for ever.
fn control() {
    let dir = std::env::var("IT_DIR").unwrap();
    let release = std::env::var("IT_RELEASE").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let deployer = world::open(Path::new(&dir));
        deployer.want(vec![world::wanted(&release, "service")]).await;
        std::future::pending::<()>().await;
    });
}
