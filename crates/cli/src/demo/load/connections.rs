//! Kept connections to one address.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{COOKIE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::super::service::BUILD_HEADER;

/// Who answered, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The build, where a version answered; `None` when the proxy did by itself.
    pub(super) build: Option<String>,
    /// The status code.
    pub(super) status: u16,
}

/// The connections nobody uses just now.
pub(super) struct Connections {
    target: String,
    idle: Mutex<Vec<SendRequest<Empty<Bytes>>>>,
}

impl Connections {
    pub(super) fn to(target: String) -> Self {
        Self { target, idle: Mutex::default() }
    }

    /// `GET /` as `user`, the whole answer read. The error says what happened.
    pub(super) async fn get(&self, user: u32) -> Result<Reply, String> {
        while let Some(mut kept) = self.take() {
            // One that was closed meanwhile is no failure of anybody's.
            if kept.ready().await.is_ok() {
                match kept.try_send_request(self.request(user)?).await {
                    Ok(response) => return self.read(kept, response).await,
                    Err(mut error) => {
                        let left = error.take_message().is_none();
                        if left {
                            return Err(error.into_error().to_string());
                        }
                    }
                }
            }
        }
        let mut fresh = self.connect().await?;
        let response = fresh.send_request(self.request(user)?).await;
        self.read(fresh, response.map_err(|error| error.to_string())?).await
    }

    fn request(&self, user: u32) -> Result<Request<Empty<Bytes>>, String> {
        Request::get("/")
            .header(HOST, &self.target)
            .header(COOKIE, format!("user_id=user-{user}"))
            .body(Empty::new())
            .map_err(|error| error.to_string())
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, String> {
        let stream = TcpStream::connect(&self.target).await.map_err(|error| error.to_string())?;
        // Requests are small; waiting for more to send would only make them late.
        let _ = stream.set_nodelay(true);
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| error.to_string())?;
        // How it ends is told to the request it carries.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    async fn read(
        &self,
        connection: SendRequest<Empty<Bytes>>,
        response: hyper::Response<Incoming>,
    ) -> Result<Reply, String> {
        let (head, body) = response.into_parts();
        let build = head.headers.get(BUILD_HEADER).and_then(|name| name.to_str().ok());
        let reply = Reply { build: build.map(str::to_owned), status: head.status.as_u16() };
        body.collect().await.map_err(|error| format!("the answer broke off: {error}"))?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(reply)
    }

    fn take(&self) -> Option<SendRequest<Empty<Bytes>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}
