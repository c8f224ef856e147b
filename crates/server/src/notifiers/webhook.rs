//! Signed webhooks, after the Standard Webhooks specification (standardwebhooks.com): headers
//! `webhook-id`, `webhook-timestamp` and `webhook-signature: v1,<base64 of HMAC-SHA256 over
//! "id.timestamp.body">`.

use std::error::Error as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use rollout::plan::Webhook;
use rollout::units::{Millis, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

use super::address::{Denied, is_denied};
use super::client::Client;
use super::error::{Class, DeliveryError};
use super::secret;

/// Sends `body` to a webhook once. `key` is the same at every attempt, so that the receiver can
/// tell a repetition; `at` is when this attempt is made.
///
/// # Errors
/// A class, whether it is of use to try again, and when. The receiver's words are never in it.
pub async fn deliver(
    client: &Client,
    webhook: &Webhook,
    key: &str,
    at: Timestamp,
    body: &str,
) -> Result<(), DeliveryError> {
    let url = address(&webhook.url)?;
    let seconds = at.0.div_euclid(1_000);
    let mut request = client
        .0
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", key)
        .header("webhook-timestamp", seconds);
    if let Some(reference) = &webhook.secret {
        let signature = sign(&secret::read(reference)?, key, seconds, body);
        request = request.header("webhook-signature", format!("v1,{signature}"));
    }
    let answer = request.body(body.to_owned()).send().await.map_err(|error| failed(&error))?;
    judge(answer.status(), answer.headers())
}

/// The address, unless it names a denied one outright; names are judged when they are dialled.
fn address(text: &str) -> Result<Url, DeliveryError> {
    let url = Url::parse(text).map_err(|_| DeliveryError::permanent(Class::Address))?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    if host.parse().is_ok_and(is_denied) {
        return Err(DeliveryError::permanent(Class::Denied));
    }
    Ok(url)
}

/// A secret that starts with `whsec_` holds its key in base64, as the specification has it; any
/// other is the key itself.
fn sign(secret: &SecretString, key: &str, seconds: i64, body: &str) -> String {
    let text = secret.expose_secret();
    let decoded = text.strip_prefix("whsec_").and_then(|rest| BASE64_STANDARD.decode(rest).ok());
    let bytes = decoded.unwrap_or_else(|| text.as_bytes().to_vec());
    let mut mac =
        Hmac::<Sha256>::new_from_slice(&bytes).expect("HMAC takes keys of every length (RFC 2104)");
    mac.update(format!("{key}.{seconds}.{body}").as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

fn failed(error: &reqwest::Error) -> DeliveryError {
    if is_refused(error) {
        return DeliveryError::permanent(Class::Denied);
    }
    let class = if error.is_timeout() {
        Class::Timeout
    } else if error.is_connect() {
        Class::Connect
    } else {
        Class::Broken
    };
    DeliveryError::passing(class)
}

/// Whether the resolver of ours refused the address.
fn is_refused(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<Denied>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// 2xx is done. 408, 425, 429 and 5xx pass; every other answer, a redirect among them, will be
/// the same tomorrow.
fn judge(status: StatusCode, headers: &HeaderMap) -> Result<(), DeliveryError> {
    if status.is_success() {
        return Ok(());
    }
    let passing = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
    let class = Class::Status(status.as_u16());
    Err(DeliveryError { class, retry_after: retry_after(headers), permanent: !passing })
}

/// `Retry-After` in whole seconds, at most a day; the form with a date is not read.
fn retry_after(headers: &HeaderMap) -> Option<Millis> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Millis::from_secs(seconds.min(86_400)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_agree_with_the_specifications_own_example() {
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let body = r#"{"test": 2432232314}"#;
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_metadata_address_is_refused_before_anything_is_sent() {
        let refused = address("http://169.254.169.254/latest").unwrap_err();
        assert_eq!(refused, DeliveryError::permanent(Class::Denied));
        assert_eq!(address("http://[fd00:ec2::254]/").unwrap_err().class, Class::Denied);
    }

    #[test]
    fn answers_are_sorted_into_done_later_and_never() {
        let judged = |status: u16| judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new());
        assert_eq!(judged(204), Ok(()));
        for later in [408, 425, 429, 500, 503] {
            assert!(!judged(later).unwrap_err().permanent, "{later}");
        }
        for never in [301, 400, 404, 410] {
            assert!(judged(never).unwrap_err().permanent, "{never}");
        }
    }
}
