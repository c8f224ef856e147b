//! A controller in a folder of its own, with a plan for this test binary as a service.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use server::serve::{ServeSettings, Server, start};
use server::view::RolloutView;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use traffic::ProxySettings;

use super::client::{Answer, Ask, PATIENCE};
use crate::shop::{clear_away, command, free_address, plan};

/// A controller and the service it delivers.
pub(crate) struct Controller {
    server: Option<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) service: String,
    listen: String,
    folder: TempDir,
}

impl Controller {
    /// One with its own proxy.
    pub(crate) async fn start() -> Self {
        Self::with(Some(ProxySettings { threads: 1, access_log: None })).await
    }

    /// One whose proxies are elsewhere.
    pub(crate) async fn without_proxy() -> Self {
        Self::with(None).await
    }

    async fn with(proxy: Option<ProxySettings>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = start(settings(&folder, proxy)).await.unwrap();
        let listen = free_address();
        let service = format!("shop-{}", listen.rsplit_once(':').unwrap().1);
        let address = server.address;
        let token = server.token.expose_secret().to_owned();
        Self { server: Some(server), address, token, service, listen, folder }
    }

    pub(crate) async fn stop(&mut self) {
        self.server.take().unwrap().stop().await;
    }

    /// The folder that holds its state.
    pub(crate) fn folder(&self) -> &TempDir {
        &self.folder
    }

    /// Asks with the token.
    pub(crate) async fn ask(&self, ask: Ask) -> Answer {
        self.with_token(ask).send(self.address).await
    }

    pub(crate) fn with_token(&self, ask: Ask) -> Ask {
        ask.header("authorization", &format!("Bearer {}", self.token))
    }

    /// The service's plan; it runs this test binary.
    pub(crate) fn plan(&self) -> String {
        plan(&self.service, &self.listen, &command())
    }

    /// The same for another service, which listens elsewhere and runs `command`.
    pub(crate) fn plan_of(service: &str, command: &str) -> String {
        plan(service, &free_address(), command)
    }

    /// What asks for a rollout of `version`.
    pub(crate) fn wanted(&self, version: &str) -> Value {
        json!({
            "plan_name": "sluice.yaml",
            "plan": self.plan(),
            "version": version,
            "directory": std::env::temp_dir(),
        })
    }

    /// Asks for a rollout; its id.
    pub(crate) async fn create(&self, version: &str) -> String {
        let answer = self.ask(Ask::post("/api/rollouts").json(&self.wanted(version))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json::<Value>()["id"].as_str().unwrap().to_owned()
    }

    /// The first release is out, and the second in its first stage; the second's id.
    pub(crate) async fn canary(&self) -> String {
        let first = self.create("1.0").await;
        self.until(&first, "promoted").await;
        let second = self.create("2.0").await;
        self.until(&second, "running").await;
        second
    }

    pub(crate) async fn view(&self, id: &str) -> RolloutView {
        self.ask(Ask::get(&format!("/api/rollouts/{id}"))).await.json()
    }

    /// Waits until the rollout's state is as asked for.
    pub(crate) async fn until(&self, id: &str, state: &str) -> RolloutView {
        let wait = async {
            loop {
                let view = self.view(id).await;
                if view.state.name() == state {
                    return view;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        if let Ok(view) = timeout(PATIENCE, wait).await {
            return view;
        }
        panic!("{id} did not become {state}: {:?}", self.view(id).await)
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        clear_away(&self.service, 1..=3);
    }
}

pub(crate) fn settings(folder: &TempDir, proxy: Option<ProxySettings>) -> ServeSettings {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    ServeSettings { state: folder.path().join("state"), listen, proxy }
}
