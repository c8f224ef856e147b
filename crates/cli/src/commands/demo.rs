//! `sluice demo`, and the two parts of it that examples use by themselves.

use std::path::PathBuf;

use crate::demo::build::Build;
use crate::demo::load::LoadSettings;
use crate::demo::{self, service};
use crate::exit::{Exit, Failure};

/// Show a good release reach everybody and a bad one taken back, on this machine.
///
/// Two releases of a small HTTP service of Sluice's own, as real processes behind the real
/// proxy, under 1,500 requests a second from 20,000 users. It takes half a minute, needs no
/// network, no arguments and nothing to be installed, and leaves nothing behind.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice demo\nsluice demo --keep"))]
pub(crate) struct Args {
    /// Leave everything running afterwards, the dashboard too, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

/// Serve one build of the demo's service.
#[derive(Debug, clap::Args)]
pub(crate) struct ServiceArgs {
    /// Which build.
    #[arg(long, value_enum)]
    build: Build,
    /// The port of the loopback address it listens on.
    #[arg(long)]
    port: u16,
    /// A socket of the demo it belongs to; it ends when that is gone.
    #[arg(long, value_name = "SOCKET")]
    leash: Option<PathBuf>,
}

/// Send requests on a fixed schedule until Ctrl-C, and say what became of them.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Where to, `host:port`.
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// Requests a second.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Distinct users, each with a cookie `user_id`.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    users: u32,
    /// Stop after so many seconds.
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        demo::run(self.keep).await
    }
}

impl ServiceArgs {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        service::serve(self.build, self.port, self.leash.as_deref()).await
    }
}

impl LoadArgs {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        let Self { to, rate, users, seconds } = self;
        demo::load(LoadSettings { target: to, rate, users }, seconds).await
    }
}
