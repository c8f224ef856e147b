//! `sluice proxy`.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use traffic::Proxy;

use super::follow::duration;
use super::up::ProxyArgs;
use crate::client::Client;
use crate::exit::{Exit, Failure};
use crate::logs::LogArgs;
use crate::output::note;
use crate::plane::{Keep, Plane};
use crate::signals::Stop;

/// Take in traffic in a process of its own, which serves on when the controller does not.
///
/// It reports to the controller each second and is told what to serve. The last it was told is
/// kept in its state folder, and served from the start without waiting for a controller. SIGTERM
/// lets what is under way finish.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help(
    "sluice up --no-proxy\nsluice proxy --token-file .sluice/token --state .sluice-proxy"
))]
pub(crate) struct Args {
    /// Where the controller answers.
    #[arg(
        long,
        env = "SLUICE_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:7373",
        value_name = "URL"
    )]
    controller: Url,
    /// The file with the token to show it.
    #[arg(long, default_value = ".sluice/token", value_name = "FILE")]
    token_file: PathBuf,
    /// What the controller knows it by; of two proxies with one name, each would be taken for the
    /// other. Without one: the host's name.
    #[arg(long, value_parser = name, value_name = "NAME")]
    name: Option<String>,
    /// The folder it keeps what it serves in; of its own, made when there is none.
    #[arg(long, default_value = ".sluice-proxy", value_name = "DIR")]
    state: PathBuf,
    /// When no controller has answered for so long, the canary's share goes to stable until one
    /// does: `10m`. Without it: the canary keeps its share, and the guard watches it.
    #[arg(long, value_name = "D", value_parser = duration)]
    lost_controller_ttl: Option<Duration>,
    #[command(flatten)]
    proxy: ProxyArgs,
    #[command(flatten)]
    log: LogArgs,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.log.start()?;
        let mut stop = Stop::new().map_err(Failure::ours)?;
        let keep = Keep::open(self.state).map_err(Failure::usage)?;
        let client = Client::new(
            self.controller,
            None,
            format!("{}; give --token-file", self.token_file.display()),
        )?;
        let proxy = Proxy::start(self.proxy.settings()).map_err(Failure::ours)?;
        let name = self.name.unwrap_or_else(host);
        let mut plane = Plane::new(proxy.clone(), client, self.token_file, name, keep)
            .with_lost_controller_ttl(self.lost_controller_ttl);
        plane.resume().await;
        tokio::select! {
            () = plane.run() => {}
            () = stop.wait() => {}
        }
        note("stopping: what is under way may finish; Ctrl-C again ends at once");
        let ended = tokio::select! {
            () = proxy.stop() => Ok(Exit::Done),
            () = stop.wait() => Err(Failure::ours("ended at once, as asked")),
        };
        plane.keep_last();
        if ended.is_ok() {
            plane.tell_last().await;
        }
        ended
    }
}

/// The host's name, where it has one that can be a proxy's.
fn host() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name(host.trim()).unwrap_or_else(|_| "proxy".to_owned())
}

/// A proxy's name, which stands in an address of the API.
fn name(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let only_dots = text.bytes().all(|byte| byte == b'.');
    if text.len() <= 64 && !only_dots && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("allowed: letters, digits, `-`, `_` and `.`, at most 64".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_stand_in_an_address() {
        for good in ["edge-1", "a.b_c", "7"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", ".", "..", "a b", "a/b", "é", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }
}
