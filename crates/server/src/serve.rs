//! A whole controller in one call: the log, the engine, and the door in front of it.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollout::units::Millis;
use secrecy::SecretString;
use store::Store;
use store::lease::{Lease, LeaseError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use traffic::ProxySettings;

use crate::api::{App, Auth, Stopping, TokenError, open_token, router};
use crate::engine::{self, Clock, Engine, EngineError, EngineSettings};

/// How long answers under way may take when the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// How long the lease is first taken for; the engine renews it.
const FIRST_LEASE: Millis = Millis::from_secs(30);

/// What a controller is started with.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// The folder that holds all state: the log, the token, the processes. Made when there is
    /// none.
    pub state: PathBuf,
    /// Where the API and the dashboard answer; loopback, port 0 for any that is free.
    pub listen: SocketAddr,
    /// How the proxy inside this process is set up; `None` when proxies run as processes of
    /// their own.
    pub proxy: Option<ProxySettings>,
}

/// A running controller. It goes on until [`Server::stop`].
pub struct Server {
    /// Who does the work.
    pub engine: Engine,
    /// Where the API and the dashboard really answer.
    pub address: SocketAddr,
    /// What lets a program in; also in the file `token` of the state folder.
    pub token: SecretString,
    store: Store,
    stop: watch::Sender<bool>,
    serving: JoinHandle<io::Result<()>>,
}

/// Why a controller does not start. Nothing has been started then.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Anybody on the network could ask.
    #[error(
        "cannot listen on {0}: TLS and roles are not there yet, so the API and the dashboard answer on loopback only; allowed: 127.0.0.1:<port> or [::1]:<port>"
    )]
    NotLoopback(SocketAddr),
    /// The state folder cannot be used.
    #[error("the state folder {} cannot be used: {error}", folder.display())]
    State {
        /// The folder.
        folder: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The log cannot be opened.
    #[error("the log in {} cannot be opened: {error}", folder.display())]
    Log {
        /// The state folder.
        folder: PathBuf,
        /// What happened.
        error: store::sqlite::OpenError,
    },
    /// Another controller works in the state folder, or the lease cannot be written.
    #[error(
        "the state folder {} cannot be taken over: {error}; stop the other controller, or choose another folder with --state",
        folder.display()
    )]
    Lease {
        /// The state folder.
        folder: PathBuf,
        /// What happened.
        error: LeaseError,
    },
    /// The port is taken, or not ours to take.
    #[error(
        "cannot listen on {listen} for the API and the dashboard: {error}; choose another address with --listen"
    )]
    Listen {
        /// What was asked for.
        listen: SocketAddr,
        /// What happened.
        error: io::Error,
    },
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Starts a controller: opens the log, takes the lease, goes on with every rollout in it, and
/// answers on `listen`.
///
/// # Errors
/// See [`StartError`].
pub async fn start(settings: ServeSettings) -> Result<Server, StartError> {
    let ServeSettings { state, listen, proxy } = settings;
    let clock = Clock;
    if !listen.ip().is_loopback() {
        return Err(StartError::NotLoopback(listen));
    }
    make_folder(&state).map_err(|error| StartError::State { folder: state.clone(), error })?;
    let store = Store::open(&state.join("sluice.sqlite"))
        .map_err(|error| StartError::Log { folder: state.clone(), error })?;
    let lease = acquire(&store, &state, clock).await?;
    // Before the engine: it starts versions, which nobody wants for a port that is taken.
    let (listener, address) = bind(listen).await?;
    let token = open_token(&state.join("token"))?;
    let engine = engine::start(EngineSettings { state, proxy }, store.clone(), lease).await?;
    let (stop, stopping) = Stopping::new();
    let app = App {
        engine: engine.clone(),
        auth: Auth::new(token.clone(), clock),
        stopping: stopping.clone(),
    };
    let serving = tokio::spawn(async move {
        axum::serve(listener, router(app))
            .with_graceful_shutdown(async move { stopping.wait().await })
            .await
    });
    Ok(Server { engine, address, token, store, stop, serving })
}

impl Server {
    /// Answers once the engine has stopped, by itself or because it was told to.
    pub async fn ended(&self) {
        self.engine.ended().await;
    }

    /// Stops: streams end, answers under way may finish, then the engine stops, and the log is
    /// closed.
    pub async fn stop(self) {
        let Self { engine, store, stop, mut serving, .. } = self;
        // An error means that the server has ended already.
        let _ = stop.send(true);
        if timeout(LAST_ANSWERS, &mut serving).await.is_err() {
            serving.abort();
        }
        engine.stop().await;
        store.close().await;
    }
}

/// Makes the folder for its owner alone: it holds the token.
fn make_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

async fn acquire(store: &Store, folder: &Path, clock: Clock) -> Result<Lease, StartError> {
    let holder = format!("process {}", std::process::id());
    let lease = store.acquire(&holder, FIRST_LEASE, clock.now()).await;
    lease.map_err(|error| StartError::Lease { folder: folder.to_owned(), error })
}

async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { listen, error };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
