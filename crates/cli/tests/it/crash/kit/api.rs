//! The controller's API, as a program would use it.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use rollout::machine::Event;
use rollout::units::Weight;
use serde_json::{Value, json};
use server::view::{EventView, RolloutView};

use super::{Place, until};

/// How long an answer may take; a controller may be killed before it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// Speaks with the controller of a place, whichever process that is at the moment.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    base: String,
    token: String,
}

impl Api {
    /// Waits until the controller answers.
    pub(crate) async fn of(place: &Place) -> Self {
        // Fails where another test was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let file = place.state().join("token");
        let token = until("there is a token", async || std::fs::read_to_string(&file).ok()).await;
        let api =
            Self { http, base: format!("http://{}", place.api), token: token.trim().to_owned() };
        api.answers().await;
        api
    }

    /// Waits until the controller answers.
    pub(crate) async fn answers(&self) {
        until("the controller answers", async || self.list().await.ok()).await;
    }

    /// Every rollout, the newest first.
    pub(crate) async fn list(&self) -> Result<Vec<RolloutView>, String> {
        self.read("/api/rollouts").await
    }

    /// One rollout.
    pub(crate) async fn rollout(&self, id: &str) -> Result<RolloutView, String> {
        self.read(&format!("/api/rollouts/{id}")).await
    }

    /// The whole history of a rollout.
    pub(crate) async fn history(&self, id: &str) -> Vec<EventView> {
        self.read(&format!("/api/rollouts/{id}/events?after=0")).await.unwrap()
    }

    /// Starts a rollout; its id.
    pub(crate) async fn create(&self, place: &Place, plan: &str, version: &str) -> String {
        let body = json!({
            "plan_name": "sluice.yaml", "plan": plan, "version": version,
            "directory": place.path(), "again": true,
        });
        let (status, answer) = self.write("/api/rollouts", &body).await.unwrap();
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// `pause`, `resume`, `promote` or `rollback`; an error when it was not acknowledged.
    pub(crate) async fn command(
        &self,
        id: &str,
        what: &str,
        why: &str,
    ) -> Result<RolloutView, String> {
        let body = if what == "resume" { json!({}) } else { json!({ "why": why }) };
        let (status, answer) = self.write(&format!("/api/rollouts/{id}/{what}"), &body).await?;
        if status != StatusCode::OK {
            return Err(format!("{what}: {status} {answer}"));
        }
        serde_json::from_value(answer).map_err(|error| error.to_string())
    }

    /// Holds the canary at or under a weight.
    pub(crate) async fn limit(&self, weight: Weight) {
        let body = json!({ "stable": weight.rest().fraction(), "canary": weight.fraction() });
        let (status, answer) = self.write("/api/traffic-weights", &body).await.unwrap();
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// Waits until a rollout is in a state.
    pub(crate) async fn until_state(&self, id: &str, state: &str) -> RolloutView {
        let what = format!("{id} is {state}");
        until(&what, async || self.rollout(id).await.ok().filter(|view| view.state.name() == state))
            .await
    }

    async fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let (status, text) = self.ask(self.http.get(format!("{}{path}", self.base))).await?;
        if status != StatusCode::OK {
            return Err(format!("{path}: {status} {text}"));
        }
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    async fn write(&self, path: &str, body: &Value) -> Result<(StatusCode, Value), String> {
        let asked = self.http.post(format!("{}{path}", self.base)).json(body);
        let (status, text) = self.ask(asked).await?;
        Ok((status, serde_json::from_str(&text).map_err(|error| error.to_string())?))
    }

    async fn ask(&self, request: RequestBuilder) -> Result<(StatusCode, String), String> {
        let answer = request.bearer_auth(&self.token).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        Ok((status, answer.text().await.map_err(|error| error.to_string())?))
    }
}

/// The stages a history went through, in order.
pub(crate) fn stages(history: &[EventView]) -> Vec<usize> {
    let started = history.iter().filter_map(|one| match one.event {
        Event::StageStarted { index, .. } => Some(index),
        _ => None,
    });
    started.collect()
}
