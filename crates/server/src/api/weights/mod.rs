//! The shares of a service's traffic, as one pair of numbers.

mod read;
mod write;

use rollout::units::Weight;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::errors::ApiError;
use crate::view::{RolloutView, Weights};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(read::read, write::write))
}

/// Whose traffic.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// The service; may be left out when there is only one.
    service: Option<String>,
}

impl Asked {
    /// The rollouts of the service that is meant, the newest first.
    fn of(&self, views: Vec<RolloutView>) -> Result<Vec<RolloutView>, ApiError> {
        let mut services: Vec<String> = views.iter().map(|view| view.service.clone()).collect();
        services.sort_unstable();
        services.dedup();
        let meant = match (&self.service, services.as_slice()) {
            (Some(service), known) if known.contains(service) => service.clone(),
            (Some(service), _) => {
                return Err(ApiError::unknown(format!("there is no service {service:?}")));
            }
            (None, [only]) => only.clone(),
            (None, []) => return Err(ApiError::unknown("there is no service yet")),
            (None, many) => {
                let message = format!("say which `service` is meant: {}", many.join(", "));
                return Err(ApiError::invalid(message));
            }
        };
        Ok(views.into_iter().filter(|view| view.service == meant).collect())
    }
}

/// The rollout whose canary shares the traffic: not over, and not in the queue.
fn under_way(views: &[RolloutView]) -> Option<&RolloutView> {
    views.iter().find(|view| !view.over && view.begun)
}

/// What the proxy has in force; what the log asks for while that is not known.
fn weights(view: Option<&RolloutView>) -> Weights {
    let canary = view.map_or(Weight::ZERO, |view| {
        let track = view.tracks.iter().find(|track| track.track == "canary");
        track.and_then(|track| track.in_force).unwrap_or(view.weight)
    });
    shares(canary)
}

/// The pair of shares in which the canary has this weight.
fn shares(canary: Weight) -> Weights {
    Weights { stable: canary.rest().fraction(), canary: canary.fraction() }
}
