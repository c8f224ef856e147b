//! One question to a version: is it well?

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rollout::route::Protocol;
use tokio::net::TcpStream;

/// The method of gRPC's own health check, asked as gRPC asks:
/// <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>.
const GRPC_HEALTH: &str = "/grpc.health.v1.Health/Check";
/// A message of no bytes: the health of the whole server.
const EMPTY_MESSAGE: &[u8] = &[0; 5];
/// How the answer `status: SERVING` ends.
const SERVING: &[u8] = &[8, 1];

/// Asks for `path` once, over a connection of its own; the status of the answer. gRPC's health
/// check, when it says anything but SERVING, is 503.
///
/// # Errors
/// A fragment that says what came instead of an answer.
pub async fn probe(
    address: &str,
    path: &str,
    protocol: Protocol,
) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let io = TokioIo::new(TcpStream::connect(address).await?);
    if protocol == Protocol::H2c {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        // Ends by itself: when the answer is here, or when nobody waits for it any more.
        tokio::spawn(connection);
        let target = format!("http://{address}{path}");
        if path == GRPC_HEALTH {
            let answer = sender.send_request(grpc_question(target)?).await?;
            let said = answer.into_body().collect().await?;
            let ok = said.trailers().and_then(|trailers| trailers.get("grpc-status"));
            let serves = ok.is_some_and(|status| status == "0");
            let serves = serves && said.to_bytes().ends_with(SERVING);
            return Ok(if serves { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE });
        }
        return Ok(sender.send_request(question(target)?).await?.status());
    }
    let (mut sender, connection) = http1::handshake(io).await?;
    tokio::spawn(connection);
    let mut request = question(path.to_owned())?;
    let host = header::HeaderValue::from_str(address)?;
    request.headers_mut().insert(header::HOST, host);
    request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    Ok(sender.send_request(request).await?.status())
}

fn question(target: String) -> http::Result<Request<Full<Bytes>>> {
    Request::get(target).header(header::USER_AGENT, "sluice-health").body(Full::default())
}

fn grpc_question(target: String) -> http::Result<Request<Full<Bytes>>> {
    let request = Request::builder().method(Method::POST).uri(target);
    request
        .header(header::USER_AGENT, "sluice-health")
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Full::from(EMPTY_MESSAGE))
}
