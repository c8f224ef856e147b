//! `POST /api/traffic-weights`

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use rollout::machine::{Command, RolloutId};
use rollout::units::Weight;

use super::{Asked, shares, under_way};
use crate::api::access::Caller;
use crate::api::app::App;
use crate::api::errors::{ApiError, ChangeErrors};
use crate::api::extract::{Body, Params};
use crate::view::Weights;

/// What rounding may leave between 1 and the sum of two decimal fractions.
const TOLERANCE: f64 = 1e-9;

/// Holds the canary's share at or under a weight. Zero is a rollback; the weight of the stage
/// lifts what was held; more than the stage's is refused.
#[utoipa::path(
    post,
    path = "/api/traffic-weights",
    operation_id = "write_weights",
    tag = "weights",
    params(Asked),
    request_body = Weights,
    responses((status = 200, description = "The shares asked for from now on", body = Weights), ChangeErrors)
)]
pub(super) async fn write(
    State(app): State<App>,
    caller: Caller,
    Params(asked): Params<Asked>,
    Body(wanted): Body<Weights>,
) -> Result<Json<Weights>, ApiError> {
    let weight = canary(&wanted)?;
    let views = asked.of(app.engine.views().await?)?;
    let Some(view) = under_way(&views) else {
        return nothing_under_way(weight);
    };
    let id = RolloutId(view.id.clone());
    app.engine.command(&id, Command::Limit { weight }, caller.actor).await?;
    // What was asked for and is durable; a proxy of its own has it in force within a second, and
    // until then what is in force would be the old pair.
    Ok(Json(shares(app.engine.view(&id).await?.weight)))
}

/// Without a canary its weight is zero already; any other is refused.
fn nothing_under_way(weight: Weight) -> Result<Json<Weights>, ApiError> {
    if weight == Weight::ZERO {
        return Ok(Json(shares(Weight::ZERO)));
    }
    let message =
        format!("read a canary weight of {weight}; no rollout is under way, so there is no canary");
    Err(ApiError::new(StatusCode::CONFLICT, "not-running", message))
}

/// The canary's weight in whole steps of 0.001 %.
fn canary(wanted: &Weights) -> Result<Weight, ApiError> {
    let Weights { stable, canary } = *wanted;
    let share = 0.0..=1.0;
    if !share.contains(&stable)
        || !share.contains(&canary)
        || (stable + canary - 1.0).abs() > TOLERANCE
    {
        let message = format!(
            "read stable {stable} and canary {canary}; allowed: two shares of 0 to 1 that sum to 1"
        );
        return Err(ApiError::invalid(message));
    }
    let steps = canary * 100_000.0;
    if (steps - steps.round()).abs() > 1e-6 {
        let message =
            format!("read a canary share of {canary}; allowed: steps of 0.00001 (0.001 %)");
        return Err(ApiError::invalid(message));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 0..=100000"
    )]
    let steps = steps.round() as u32;
    Weight::from_steps(steps).ok_or_else(|| ApiError::invalid("the canary's share is above 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stable: f64, canary: f64) -> Option<u32> {
        super::canary(&Weights { stable, canary }).ok().map(Weight::steps)
    }

    #[test]
    fn two_shares_of_one_become_a_weight_in_steps() {
        assert_eq!(read(1.0, 0.0), Some(0));
        assert_eq!(read(0.0, 1.0), Some(100_000));
        assert_eq!(read(0.99, 0.01), Some(1_000));
        assert_eq!(read(0.7, 0.3), Some(30_000));
        assert_eq!(read(0.99999, 0.00001), Some(1));
    }

    #[test]
    fn what_is_no_pair_of_shares_is_refused() {
        for (stable, canary) in [
            (0.5, 0.6),
            (0.5, 0.4),
            (1.5, -0.5),
            (-0.5, 1.5),
            (f64::NAN, 0.1),
            (0.9, f64::NAN),
            (f64::INFINITY, f64::NEG_INFINITY),
            (0.999_995, 0.000_005),
        ] {
            assert_eq!(read(stable, canary), None, "{stable} {canary}");
        }
    }
}
