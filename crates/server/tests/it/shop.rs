//! The service the tests deliver: this test binary, under a plan of two stages.

use std::fmt::Display;
use std::net::TcpListener;

use serde_json::json;

use crate::deployer::world::{kill, processes};
use crate::roles;

/// The words that start this binary as the service, as a plan writes them.
pub(crate) fn command() -> String {
    json!(roles::command()).to_string()
}

/// Two stages, the first for an hour.
pub(crate) fn plan(service: &str, listen: &str, command: &str) -> String {
    let role = roles::ROLE;
    format!(
        "service: {service}
listen: {listen}
run:
  command: {command}
  env: {{ {role}: service, ADDRESS: '127.0.0.1:{{port}}', BUILD: '{{version}}' }}
health: {{ path: /health, every: 50ms, timeout: 5s }}
drain: 1s
stages:
  - {{ name: canary, traffic: 10%, for: 1h, gates: {{ error_rate: below 1% }} }}
  - {{ name: all, traffic: 100%, gates: {{ error_rate: below 1% }} }}
"
    )
}

/// An address nobody listened on a moment ago.
pub(crate) fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Ends what runs of these releases. Versions outlive their controller by design; a test that
/// failed leaves none behind.
pub(crate) fn clear_away(service: &str, numbers: impl IntoIterator<Item: Display>) {
    for number in numbers {
        processes(&format!("{service}-{number}")).into_keys().for_each(kill);
    }
}
