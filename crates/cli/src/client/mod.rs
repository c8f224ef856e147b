//! Speaks with the controller over its HTTP API.

mod connect;
mod failure;
mod follow;
mod select;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use server::api::{Because, CreateRollout, Created, Promotion};
use server::engine::{ProxyReport, ProxySync};
use server::view::{EventView, RolloutView, Weights};

use crate::exit::Failure;

pub(crate) use connect::{Connect, base_url, read_token};
pub(crate) use follow::{Update, follow};

/// How long one answer may take; a stream may take for ever.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the controller may take to answer a proxy; it does within a second.
const SYNC_PATIENCE: Duration = Duration::from_secs(3);

/// Speaks with one controller. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
    /// Where a token was looked for, and what else to do: for the message when it is missing.
    sought: String,
}

impl Client {
    /// Every rollout, the newest first.
    pub(crate) async fn rollouts(&self) -> Result<Vec<RolloutView>, Failure> {
        self.get("/api/rollouts").await
    }

    /// One rollout.
    pub(crate) async fn rollout(&self, id: &str) -> Result<RolloutView, Failure> {
        self.get(&format!("/api/rollouts/{id}")).await
    }

    /// Asks for a rollout; answers its id.
    pub(crate) async fn create(&self, new: &CreateRollout) -> Result<String, Failure> {
        let created: Created = self.post("/api/rollouts", new).await?;
        Ok(created.id)
    }

    /// Ends the stage of that name, or the one under way.
    pub(crate) async fn promote(
        &self,
        id: &str,
        stage: Option<&str>,
        why: &str,
    ) -> Result<RolloutView, Failure> {
        let asked = Promotion { stage: stage.map(ToOwned::to_owned), why: why.to_owned() };
        self.post(&format!("/api/rollouts/{id}/promote"), &asked).await
    }

    /// Asks something of a rollout: `pause`, `resume` or `rollback`.
    pub(crate) async fn act(
        &self,
        id: &str,
        verb: &str,
        why: &str,
    ) -> Result<RolloutView, Failure> {
        self.post(&format!("/api/rollouts/{id}/{verb}"), &Because { why: why.to_owned() }).await
    }

    /// What happened to a rollout, the oldest first.
    pub(crate) async fn events(&self, id: &str) -> Result<Vec<EventView>, Failure> {
        self.get(&format!("/api/rollouts/{id}/events?after=0")).await
    }

    /// The report of a rollout, as JSON.
    pub(crate) async fn report(&self, id: &str) -> Result<serde_json::Value, Failure> {
        self.get(&format!("/api/rollouts/{id}/report")).await
    }

    /// The report of a rollout, as Markdown.
    pub(crate) async fn report_markdown(&self, id: &str) -> Result<String, Failure> {
        let path = format!("/api/rollouts/{id}/report?format=markdown");
        let response = self.send(self.request(Method::GET, &path)?.timeout(PATIENCE)).await?;
        response.text().await.map_err(|error| self.lost(&error))
    }

    /// The shares of a service's traffic; `service` may be left out when there is one.
    pub(crate) async fn weights(&self, service: Option<&str>) -> Result<Weights, Failure> {
        self.get(&weights_path(service)).await
    }

    /// Holds the canary at a share.
    pub(crate) async fn set_weights(
        &self,
        service: Option<&str>,
        weights: &Weights,
    ) -> Result<Weights, Failure> {
        self.post(&weights_path(service), weights).await
    }

    /// A GET that answers JSON.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.read(self.request(Method::GET, path)?.timeout(PATIENCE)).await
    }

    /// Tells what a proxy counts and observes; answers what it is to serve.
    pub(crate) async fn sync(&self, report: &ProxyReport) -> Result<ProxySync, Failure> {
        let path = format!("/api/proxies/{}/sync", report.name);
        self.read(self.request(Method::POST, &path)?.json(report).timeout(SYNC_PATIENCE)).await
    }

    /// The token it shows.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Shows another token from now on.
    pub(crate) fn set_token(&mut self, token: Option<String>) {
        self.token = token;
    }

    /// A POST of JSON that answers JSON.
    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.read(self.request(Method::POST, path)?.json(body).timeout(PATIENCE)).await
    }

    /// A request with the token, and without a limit in time.
    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        let url = self.base.join(path).map_err(Failure::usage)?;
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.send(request).await?;
        let text = response.text().await.map_err(|error| self.lost(&error))?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::ours(format!("{} answered something else than expected: {error}", self.base))
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.refused(response).await)
        }
    }
}

fn weights_path(service: Option<&str>) -> String {
    match service {
        Some(service) => format!("/api/traffic-weights?service={service}"),
        None => "/api/traffic-weights".to_owned(),
    }
}
