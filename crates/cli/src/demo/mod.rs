//! `sluice demo`: the whole of it in half a minute, with nothing to install.
//!
//! Everything in it is real. Versions are processes of their own on ports of their own
//! ([`service`], [`build`]), started by the process deployer; users are an open loop of
//! requests through the proxy ([`mod@load`]); the controller is the one `sluice up` starts
//! ([`set`]). Only the plan is short ([`plan`]).
//!
//! ```text
//! v1    the first release
//! v2    no worse               1 % -> 10 % -> 100 %, each step earned
//! v3    breaks under load      taken back by the guard
//! ```
//!
//! The demo ends with what its users met ([`summary`]), as the load measured it: nothing in
//! there is the controller's word. It leaves nothing behind, see [`leash`].

pub(crate) mod build;
mod leash;
pub(crate) mod load;
mod plan;
pub(crate) mod service;
mod set;
mod show;
mod story;
mod summary;

use std::time::Duration;

use tokio::time::sleep;

use self::load::{Load, LoadSettings};
use self::set::Set;
use self::show::Show;
use crate::exit::{Exit, Failure};
use crate::output::{data, note};
use crate::signals::Stop;

/// Shows a good release reach everybody and a bad one taken back. With `keep`, everything
/// goes on afterwards until somebody asks it to stop.
///
/// # Errors
/// An outcome was not what it should be, or the demo was stopped before its end.
pub(crate) async fn run(keep: bool) -> Result<Exit, Failure> {
    let mut stop = Stop::new().map_err(Failure::ours)?;
    let set = tokio::select! {
        set = Set::up() => set?,
        () = stop.wait() => return Err(stopped()),
    };
    let told = tokio::select! {
        told = perform(&set) => told,
        () = stop.wait() => Err(stopped()),
    };
    let outcome = match told {
        Ok((outcome, load)) => {
            if keep {
                let (page, token) = (set.dashboard(), set.token());
                note(&format!("\nthe dashboard is at {page}, its token in {}", token.display()));
                note("everything goes on until you press Ctrl-C");
                stop.wait().await;
            } else {
                note("\n`sluice demo --keep` leaves everything running, with its dashboard");
            }
            load.stop().await;
            outcome
        }
        Err(failure) => Err(failure),
    };
    set.down().await;
    outcome
}

/// The story and its figures; the load goes on.
async fn perform(set: &Set) -> Result<(Result<Exit, Failure>, Load), Failure> {
    let mut show = Show::begin(set)?;
    let told = story::tell(set, &mut show).await;
    show.end();
    let (story, load) = told?;
    data(&summary::text(&story))?;
    let wrong = summary::wrong(&story);
    let outcome =
        if wrong.is_empty() { Ok(Exit::Done) } else { Err(Failure::ours(wrong.join("; "))) };
    Ok((outcome, load))
}

fn stopped() -> Failure {
    Failure::ours("the demo was stopped before its end")
}

/// Sends load until asked to stop, for so many seconds at most, and prints what became of it.
///
/// # Errors
/// The load cannot be started, or its figures cannot be written.
pub(crate) async fn load(settings: LoadSettings, seconds: Option<u64>) -> Result<Exit, Failure> {
    let mut stop = Stop::new().map_err(Failure::ours)?;
    let load = Load::start(settings).map_err(Failure::ours)?;
    tokio::select! {
        () = stop.wait() => {}
        () = sleep(Duration::from_secs(seconds.unwrap_or(u64::MAX))) => {}
    }
    data(&summary::load(&load.stop().await))?;
    Ok(Exit::Done)
}
