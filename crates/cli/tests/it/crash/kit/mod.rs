//! What the tests are made of: a place, a controller in it, users before it.

mod api;
mod controller;
mod log;
mod place;
mod processes;
mod scatter;
mod users;

use std::time::Duration;

pub(crate) use self::api::{Api, stages};
pub(crate) use self::controller::Program;
pub(crate) use self::log::Log;
pub(crate) use self::place::Place;
pub(crate) use self::processes::running;
pub(crate) use self::scatter::Scatter;
pub(crate) use self::users::{Users, Visit};

/// A condition that has not come true by then never will.
const PATIENCE: Duration = Duration::from_mins(1);

/// Asks until there is an answer.
pub(crate) async fn until<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    asked.unwrap_or_else(|_| panic!("never came true: {what}"))
}

/// A figure that may be set from outside.
pub(crate) fn figure(name: &str, usual: u32) -> u32 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, not a number")),
        Err(_) => usual,
    }
}
