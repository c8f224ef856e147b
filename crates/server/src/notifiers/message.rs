//! The signature of a message, after the Standard Webhooks specification 1.0
//! (<https://www.standardwebhooks.com>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rollout::units::Timestamp;
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

/// What the receiver is sent besides the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// `webhook-id`: the same for every attempt at one message.
    pub id: String,
    /// `webhook-timestamp`: when this attempt is made, in seconds since the Unix epoch.
    pub timestamp: String,
    /// `webhook-signature`; without a secret there is none.
    pub signature: Option<String>,
}

/// The headers of an attempt made `at` that moment; signed with `key` where there is one.
pub fn headers(id: &str, at: Timestamp, body: &str, key: Option<&SecretSlice<u8>>) -> Headers {
    let timestamp = at.0.div_euclid(1_000).to_string();
    let signature = key.map(|key| sign(key, &format!("{id}.{timestamp}.{body}")));
    Headers { id: id.to_owned(), timestamp, signature }
}

/// `v1,` and the HMAC-SHA256 of `text` in base64.
fn sign(key: &SecretSlice<u8>, text: &str) -> String {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.expose_secret())
        .expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn a_known_message_has_its_known_signature() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().into();
        let at = Timestamp(1_614_265_330_999);
        let headers =
            headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, r#"{"test": 2432232314}"#, Some(&key));
        assert_eq!(headers.timestamp, "1614265330");
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(headers.signature.as_deref(), Some(expected));
    }

    #[test]
    fn without_a_secret_there_is_no_signature() {
        assert_eq!(headers("id", Timestamp(0), "", None).signature, None);
    }
}
