//! One attempt at one signed message.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{ClientBuilder, RequestBuilder, Response, StatusCode, Url, redirect};
use rollout::plan::Webhook;
use rollout::units::{Millis, Timestamp};

use super::address::{self, Denied, Guarded, Lookup};
use super::message;
use super::retry;
use super::secret::{self, SecretError};

/// How long an attempt may take, from the lookup to the end of the answer.
const LIMIT: Duration = Duration::from_secs(10);
/// So much of an answer is read, in bytes; it is thrown away, but a connection whose answer was
/// read can be used again.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// What sends messages: it follows no redirect, takes no proxy from the environment, and dials no
/// address that [`address`] denies.
#[derive(Clone, Debug)]
pub struct Client(reqwest::Client);

/// Why an attempt failed. Neither the answer's body nor the address nor the secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}")]
pub struct DeliveryError {
    /// What kind of failure it was.
    pub class: Class,
    /// How long the receiver asked to be left alone.
    pub retry_after: Option<Millis>,
    /// No further attempt can succeed.
    pub permanent: bool,
}

/// The kinds of failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Class {
    /// The URL cannot be used.
    #[error("the webhook's URL is not an http or https URL")]
    Url,
    /// The address must not be dialled.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// There is no secret to sign with.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// No connection: the name is unknown, or nobody listens.
    #[error("the receiver cannot be reached")]
    Connect,
    /// The receiver's certificate is not trusted, or it speaks no TLS.
    #[error("no trusted TLS connection to the receiver")]
    Tls,
    /// It took longer than 10 s.
    #[error("the receiver did not answer within 10s")]
    Timeout,
    /// The connection broke, or what came is not HTTP.
    #[error("the receiver broke the exchange off")]
    Broken,
    /// It answered with something else than 2xx.
    #[error("the receiver answered with status {0}")]
    Status(u16),
}

impl From<Class> for DeliveryError {
    fn from(class: Class) -> Self {
        let permanent = match class {
            Class::Url | Class::Denied(_) => true,
            Class::Status(status) => retry::is_permanent(status),
            _ => false,
        };
        Self { class, retry_after: None, permanent }
    }
}

/// Makes the client. On a machine without any certificate authority it reaches `http` receivers
/// only.
///
/// # Errors
/// When the client cannot be set up at all; a fragment that says why.
pub fn client() -> Result<Client, String> {
    client_with(address::system)
}

fn client_with(lookup: Lookup) -> Result<Client, String> {
    // A second installation is refused and changes nothing.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let trusting_the_system = builder(lookup).build();
    let client = trusting_the_system.or_else(|error| {
        tracing::warn!(%error, "no certificate authority is known; https receivers cannot be reached");
        builder(lookup).tls_certs_only([]).build()
    });
    client.map(Client).map_err(|error| error.to_string())
}

fn builder(lookup: Lookup) -> ClientBuilder {
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .timeout(LIMIT)
        .user_agent("sluice")
        .dns_resolver(Guarded(lookup))
}

/// Sends `body` (JSON) to `webhook`, signed where it has a secret. `key` is the same for every
/// attempt at this message, so that the receiver can tell a repetition; `at` is the time of day.
///
/// # Errors
/// What kind of failure it was, and whether another attempt makes sense.
pub async fn deliver(
    client: &Client,
    webhook: &Webhook,
    key: &str,
    at: Timestamp,
    body: &str,
) -> Result<(), DeliveryError> {
    let request = request(client, webhook, key, at, body).await?;
    let answer = request.send().await.map_err(|error| classify(&error))?;
    let outcome = judge(&answer, at);
    discard(answer).await;
    outcome
}

async fn request(
    client: &Client,
    webhook: &Webhook,
    key: &str,
    at: Timestamp,
    body: &str,
) -> Result<RequestBuilder, Class> {
    let url = Url::parse(&webhook.url).map_err(|_| Class::Url)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Class::Url);
    }
    address::literal(&url)?;
    let secret = match &webhook.secret {
        Some(reference) => Some(secret::read(reference).await?),
        None => None,
    };
    let headers = message::headers(key, at, body, secret.as_ref());
    let mut request = client
        .0
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", headers.id)
        .header("webhook-timestamp", headers.timestamp)
        .body(body.to_owned());
    if let Some(signature) = headers.signature {
        request = request.header("webhook-signature", signature);
    }
    Ok(request)
}

fn judge(answer: &Response, at: Timestamp) -> Result<(), DeliveryError> {
    let status: StatusCode = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = asked.and_then(|value| retry::retry_after(value, at));
    Err(DeliveryError { retry_after, ..Class::Status(status.as_u16()).into() })
}

/// Reads the answer to its end or its limit. What goes wrong here changes nothing: the status has
/// been said.
async fn discard(mut answer: Response) {
    let mut length = 0;
    while let Ok(Some(piece)) = answer.chunk().await {
        length += piece.len();
        if length > ANSWER_LIMIT {
            return;
        }
    }
}

fn classify(error: &reqwest::Error) -> Class {
    if let Some(denied) = cause::<Denied>(error) {
        return Class::Denied(*denied);
    }
    match error {
        error if error.is_timeout() => Class::Timeout,
        error if cause::<rustls::Error>(error).is_some() => Class::Tls,
        error if error.is_connect() => Class::Connect,
        _ => Class::Broken,
    }
}

/// The first cause of this type. An I/O error hides what it wraps from `source`, so it is opened.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    if let Some(found) = wrapped.and_then(|inner| cause(inner)) {
        return Some(found);
    }
    error.source().and_then(cause)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    async fn outcome(lookup: Lookup) -> Class {
        let webhook = Webhook { url: "http://receiver.test:9/".to_owned(), secret: None };
        let client = client_with(lookup).unwrap();
        deliver(&client, &webhook, "k", Timestamp(0), "{}").await.unwrap_err().class
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_metadata_service_is_not_dialled() {
        let class = outcome(|_| {
            Box::pin(async {
                Ok(vec![
                    (Ipv4Addr::LOCALHOST, 0).into(),
                    (Ipv4Addr::new(169, 254, 169, 254), 0).into(),
                ])
            })
        })
        .await;
        assert_eq!(class, Class::Denied(Denied));
    }

    #[tokio::test]
    async fn a_name_nobody_knows_cannot_be_reached() {
        let class = outcome(|_| Box::pin(async { Err(std::io::ErrorKind::NotFound.into()) })).await;
        assert_eq!(class, Class::Connect);
    }
}
