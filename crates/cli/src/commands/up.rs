//! `sluice up`.

use std::net::SocketAddr;
use std::path::PathBuf;

use server::serve::{self, ServeSettings, Server, StartError};
use traffic::{AccessLog, ProxySettings};

use crate::exit::{Exit, Failure};
use crate::logs::LogArgs;
use crate::output::note;
use crate::signals::Stop;

/// Run everything in one process: the controller, the proxy, the API and the dashboard.
///
/// All that is known is kept in the state folder; a controller that is started there again goes
/// on where the last one was. Ctrl-C lets what is under way finish and stops the versions behind
/// the proxy; a second Ctrl-C ends at once.
#[derive(Debug, clap::Args)]
#[command(after_help = super::help("sluice up --state /var/lib/sluice --listen 127.0.0.1:7373"))]
pub(crate) struct Args {
    /// The folder that all is kept in; made when there is none.
    #[arg(
        long,
        env = "SLUICE_STATE",
        hide_env_values = true,
        default_value = ".sluice",
        value_name = "DIR"
    )]
    state: PathBuf,
    /// Where the API and the dashboard answer; port 0 takes any that is free.
    #[arg(long, default_value = "127.0.0.1:7373", value_name = "ADDR")]
    listen: SocketAddr,
    /// Take in no traffic here: proxies run as processes of their own (`sluice proxy`).
    #[arg(long)]
    no_proxy: bool,
    #[command(flatten)]
    proxy: ProxyArgs,
    #[command(flatten)]
    log: LogArgs,
}

/// How a proxy runs.
#[derive(Debug, clap::Args)]
pub(super) struct ProxyArgs {
    /// Threads that serve; 0 means one a core.
    #[arg(long, default_value_t = 0, value_name = "N")]
    proxy_threads: usize,
    /// Write a line of JSON for each request to this file, `-` for standard output.
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
}

impl ProxyArgs {
    pub(super) fn settings(self) -> ProxySettings {
        let access_log = self.access_log.map(|file| match file.to_str() {
            Some("-") => AccessLog::Stdout,
            _ => AccessLog::File(file),
        });
        ProxySettings { threads: self.proxy_threads, access_log }
    }
}

impl Args {
    pub(super) async fn run(self) -> Result<Exit, Failure> {
        self.log.start()?;
        let mut stop = Stop::new().map_err(Failure::ours)?;
        let state = self.state.clone();
        let proxy = (!self.no_proxy).then(|| self.proxy.settings());
        let settings = ServeSettings { state: self.state, listen: self.listen, proxy };
        let server = tokio::select! {
            started = serve::start(settings) => started.map_err(not_started)?,
            () = stop.wait() => return Ok(Exit::Done),
        };
        note(&format!("dashboard  http://{}/", server.address));
        note(&format!("token      {}", state.join("token").display()));
        note(&format!("state      {}", state.display()));
        tokio::select! {
            () = stop.wait() => {}
            () = server.ended() => return Err(Failure::ours("the engine has stopped by itself")),
        }
        end(server, &mut stop).await
    }
}

/// Stops gracefully, unless asked a second time.
async fn end(server: Server, stop: &mut Stop) -> Result<Exit, Failure> {
    note("stopping: what is under way may finish; Ctrl-C again ends at once");
    tokio::select! {
        () = server.stop() => Ok(Exit::Done),
        () = stop.wait() => Err(Failure::ours("ended at once, as asked")),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an error is handed over")]
fn not_started(error: StartError) -> Failure {
    let exit = match &error {
        StartError::NotLoopback(_) => Exit::Usage,
        StartError::Lease { .. } => Exit::Refused,
        _ => Exit::Failed,
    };
    Failure::Because(exit, error.to_string())
}
