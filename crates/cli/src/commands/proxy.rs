//! `sluice proxy`.

mod place;
mod upgrade;

use std::path::{Path, PathBuf};
use std::time::Duration;

use traffic::{Inheritance, Proxy, ProxySettings};

use self::place::Place;
use super::follow::duration;
use super::up::ProxyArgs;
use crate::client::{Client, base_url};
use crate::exit::{Exit, Failure};
use crate::logs::LogArgs;
use crate::manager;
use crate::output::note;
use crate::plane::{Giver, Heir, Keep, Lock, Plane};
use crate::signals::{Renew, Stop};

/// Take in traffic in a process of its own, which serves on when the controller does not.
///
/// It reports to the controller each second and is told what to serve. The last it was told is
/// kept in its state folder, and served from the start without waiting for a controller. SIGTERM
/// lets what is under way finish. SIGUSR2 starts the binary that is on disk now with --upgrade.
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
        value_name = "URL",
        value_parser = base_url
    )]
    controller: reqwest::Url,
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
    /// Take over from the proxy that runs in the same --state folder, without a connection
    /// refused; that one finishes what is under way and ends. Where none runs, just start.
    #[arg(long)]
    upgrade: bool,
    #[command(flatten)]
    proxy: ProxyArgs,
    #[command(flatten)]
    log: LogArgs,
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.log.start()?;
        let mut stop = Stop::new().map_err(Failure::ours)?;
        let renew = Renew::new().map_err(Failure::ours)?;
        let keep = Keep::open(self.state.clone()).map_err(Failure::usage)?;
        let client = Client::new(
            self.controller,
            None,
            format!("{}; give --token-file", self.token_file.display()),
        )?;
        let new = New {
            keep,
            client,
            token_file: self.token_file,
            name: self.name,
            settings: self.proxy.settings(),
            lost_controller_ttl: self.lost_controller_ttl,
        };
        let running = tokio::select! {
            running = new.start(self.upgrade) => running?,
            () = stop.wait() => return Ok(Exit::Done),
        };
        running.serve(stop, renew).await
    }
}

/// All that a proxy is made of, before it is.
struct New {
    keep: Keep,
    client: Client,
    token_file: PathBuf,
    name: Option<String>,
    settings: ProxySettings,
    lost_controller_ttl: Option<Duration>,
}

/// A proxy that serves, in a state folder it holds.
struct Running {
    proxy: Proxy,
    plane: Plane,
    lock: Lock,
    /// Where a new process asks to take over; `None` when that cannot be listened on.
    giver: Option<Giver>,
}

/// What became of an offer to take over.
enum Offered {
    /// It serves everything.
    Taken(Heir),
    /// It does not, for this reason; nothing has changed.
    Not(String),
    /// This process was told to stop meanwhile.
    ToStop,
    /// This process has nothing to serve.
    Failed(Failure),
}

impl New {
    async fn start(self, upgrade: bool) -> Result<Running, Failure> {
        let folder = self.keep.folder().to_owned();
        let stays = |why: &dyn std::fmt::Display| {
            Failure::ours(format!("the proxy that runs goes on, it was not taken over: {why}"))
        };
        let estate = match Place::find(&folder, upgrade).await? {
            Place::Free(lock) => {
                let giver = giver(&folder);
                let (proxy, mut plane) = self.make(None, Inheritance::default())?;
                plane.resume().await;
                plane.hold();
                return Ok(Running::new(proxy, plane, lock, giver));
            }
            Place::Taken(Ok(estate)) => estate,
            Place::Taken(Err(why)) => return Err(stays(&why)),
        };
        let (will, sockets, testator) = estate.open();
        if let Some(name) = self.name.as_ref().filter(|name| **name != will.name) {
            let why = format!("it is called {:?}, and --name says {name:?}", will.name);
            return Err(stays(&why));
        }
        let (proxy, mut plane) = self.make(Some(&will.name), sockets)?;
        plane.take_over(will).await.map_err(|why| stays(&why))?;
        let before = testator.serving().await.map_err(Failure::ours)?;
        let lock = Lock::inherit(&folder).await?;
        // Before anything that takes its time: the next one may ask at once.
        let giver = giver(&folder);
        plane.follow(before);
        tracing::info!("took over from the proxy that ran here");
        Ok(Running::new(proxy, plane, lock, giver))
    }

    fn make(self, name: Option<&str>, sockets: Inheritance) -> Result<(Proxy, Plane), Failure> {
        let proxy = Proxy::start_with(self.settings, sockets).map_err(Failure::ours)?;
        let name = name.map(ToOwned::to_owned).or(self.name).unwrap_or_else(host);
        let plane = Plane::new(proxy.clone(), self.client, self.token_file, name, self.keep)
            .with_lost_controller_ttl(self.lost_controller_ttl);
        Ok((proxy, plane))
    }
}

impl Running {
    fn new(proxy: Proxy, plane: Plane, lock: Lock, giver: Option<Giver>) -> Self {
        manager::ready();
        Self { proxy, plane, lock, giver }
    }

    /// Serves until told to stop, or until another process has taken over.
    async fn serve(mut self, mut stop: Stop, mut renew: Renew) -> Result<Exit, Failure> {
        loop {
            let heir = tokio::select! {
                failed = self.plane.run() => return failed.map(|never| match never {}),
                () = stop.wait() => return self.end(stop).await,
                () = renew.wait() => {
                    upgrade::start();
                    continue;
                }
                heir = next(self.giver.as_ref()) => heir,
            };
            let pid = heir.pid;
            match self.offer(heir, &mut stop).await {
                Offered::Taken(heir) => return self.make_way(heir, stop).await,
                Offered::Not(why) => tracing::warn!(pid, why, "not handed over; serving on"),
                Offered::ToStop => return self.end(stop).await,
                Offered::Failed(failure) => return Err(failure),
            }
        }
    }

    /// Offers everything to a process that asks for it, and serves on meanwhile.
    async fn offer(&mut self, mut heir: Heir, stop: &mut Stop) -> Offered {
        let sockets = match self.proxy.listening() {
            Ok(sockets) => sockets,
            Err(error) => return Offered::Not(error.to_string()),
        };
        let will = self.plane.will();
        let served = tokio::select! {
            served = heir.serves(will, sockets) => served,
            Err(failure) = self.plane.run() => return Offered::Failed(failure),
            () = stop.wait() => return Offered::ToStop,
        };
        match served {
            Ok(()) => Offered::Taken(heir),
            Err(error) => Offered::Not(error.to_string()),
        }
    }

    /// Gives everything away, and finishes what is under way.
    async fn make_way(mut self, heir: Heir, mut stop: Stop) -> Result<Exit, Failure> {
        self.plane.let_go();
        drop((self.giver.take(), self.lock));
        note(&format!("process {} has taken over: what is under way may finish", heir.pid));
        let successor = heir.inherits(self.plane.still()).await;
        tokio::select! {
            () = self.plane.drain(successor) => Ok(Exit::Done),
            () = stop.wait() => Err(Failure::ours("ended at once, as asked")),
        }
    }

    /// Lets what is under way finish, and signs off.
    async fn end(mut self, mut stop: Stop) -> Result<Exit, Failure> {
        note("stopping: what is under way may finish; Ctrl-C again ends at once");
        let ended = tokio::select! {
            () = self.proxy.stop() => Ok(Exit::Done),
            () = stop.wait() => Err(Failure::ours("ended at once, as asked")),
        };
        self.plane.keep_last();
        if ended.is_ok() {
            self.plane.tell_last().await;
        }
        ended
    }
}

/// Listens for who wants to take over.
fn giver(folder: &Path) -> Option<Giver> {
    let giver = Giver::open(folder);
    giver.inspect_err(|error| tracing::warn!(%error, "cannot be upgraded while it runs")).ok()
}

/// The next process that asks to take over.
async fn next(giver: Option<&Giver>) -> Heir {
    match giver {
        Some(giver) => giver.heir().await,
        None => std::future::pending().await,
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
