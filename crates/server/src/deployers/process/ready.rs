//! Asks a process whether it is ready.

use std::time::Duration;

use rollout::route::{HealthCheck, Protocol};
use rollout::units::Millis;

/// A process that starts is asked at least this often, whatever its plan says of later checks.
const SLOWEST: Millis = Millis(500);
/// And at most this often.
const FASTEST: Millis = Millis(20);

/// How long to wait between two questions to a process that starts.
pub(super) fn pace(health: &HealthCheck) -> Duration {
    health.every.clamp(FASTEST, SLOWEST).to_std()
}

/// Asks once. 2xx and 3xx are good.
///
/// # Errors
/// A fragment that says what came instead.
pub(super) async fn ask(
    address: &str,
    health: &HealthCheck,
    protocol: Protocol,
) -> Result<(), String> {
    let asked = traffic::probe(address, &health.path, protocol);
    match tokio::time::timeout(health.timeout.to_std(), asked).await {
        Err(_) => Err(format!("no answer within {}", health.timeout)),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(status)) if status.is_success() || status.is_redirection() => Ok(()),
        Ok(Ok(status)) => Err(format!("status {}", status.as_u16())),
    }
}
