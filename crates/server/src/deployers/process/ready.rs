//! Asks a process whether it is ready.

use std::time::Duration;

use http::Request;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rollout::route::HealthCheck;
use rollout::units::Millis;
use tokio::net::TcpStream;

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
pub(super) async fn ask(address: &str, health: &HealthCheck) -> Result<(), String> {
    match tokio::time::timeout(health.timeout.to_std(), status(address, &health.path)).await {
        Err(_) => Err(format!("no answer within {}", health.timeout)),
        Ok(Err(error)) => Err(error),
        Ok(Ok(status)) if status.is_success() || status.is_redirection() => Ok(()),
        Ok(Ok(status)) => Err(format!("status {}", status.as_u16())),
    }
}

async fn status(address: &str, path: &str) -> Result<http::StatusCode, String> {
    let request = Request::get(path)
        .header(http::header::HOST, address)
        .header(http::header::USER_AGENT, "sluice")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::select! {
        answer = sender.send_request(request) => {
            answer.map(|answer| answer.status()).map_err(|error| error.to_string())
        }
        Err(error) = connection => Err(error.to_string()),
    }
}
