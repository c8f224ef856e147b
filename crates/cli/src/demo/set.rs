//! What the demo plays on: a controller with its proxy, and a folder for its state.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use server::serve::{self, ServeSettings, Server};
use traffic::ProxySettings;

use super::leash::Home;
use super::plan;
use crate::exit::Failure;

/// Everything that runs. [`Set::down`] ends it.
pub(super) struct Set {
    pub(super) server: Server,
    /// Where the proxy takes the service's traffic, `host:port`.
    pub(super) front: String,
    /// The plan of every rollout here.
    pub(super) plan: String,
    home: Home,
}

impl Set {
    /// Starts a controller on free ports; no version yet.
    ///
    /// # Errors
    /// There is no room for the folder, or no port.
    pub(super) async fn up() -> Result<Self, Failure> {
        let home = Home::new().map_err(|error| {
            Failure::ours(format!("cannot make a folder for the demo: {error}"))
        })?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::ours(format!("cannot find the program itself: {error}")))?;
        let front = free_address()?;
        let plan = plan::text(&front, &program, &home.leash())?;
        let settings = ServeSettings {
            state: home.path().join("state"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            // One thread serves thousands of requests a second; the others have users to play.
            proxy: Some(ProxySettings { threads: 1, access_log: None }),
        };
        let server = serve::start(settings).await.map_err(Failure::ours)?;
        Ok(Self { server, front, plan, home })
    }

    /// The address of the dashboard.
    pub(super) fn dashboard(&self) -> String {
        format!("http://{}/", self.server.address)
    }

    /// The file that holds the token for the dashboard.
    pub(super) fn token(&self) -> PathBuf {
        self.home.path().join("state").join("token")
    }

    /// The folder of the demo, where versions run.
    ///
    /// # Errors
    /// It is not UTF-8, as a rollout's folder must be.
    pub(super) fn folder(&self) -> Result<&str, Failure> {
        let path = self.home.path();
        path.to_str().ok_or_else(|| Failure::ours(format!("{} is not UTF-8", path.display())))
    }

    /// Stops every process and the controller, and removes the folder.
    pub(super) async fn down(self) {
        let Self { server, home, .. } = self;
        server.stop().await;
        drop(home);
    }
}

/// A loopback address nobody listens on just now.
fn free_address() -> Result<String, Failure> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|door| door.local_addr());
    let address =
        bound.map_err(|error| Failure::ours(format!("there is no free port: {error}")))?;
    Ok(address.to_string())
}
