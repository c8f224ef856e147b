//! What is never sent, and what is never shown.

use rollout::plan::Webhook;
use rollout::units::Timestamp;
use server::notifiers::address::Denied;
use server::notifiers::{Class, DeliveryError, client, deliver};

use super::receiver::Receiver;

async fn failure(url: String, secret: Option<String>) -> DeliveryError {
    let webhook = Webhook { url, secret };
    deliver(&client().unwrap(), &webhook, "key", Timestamp(0), "{}").await.unwrap_err()
}

#[tokio::test]
async fn a_metadata_address_is_refused_for_good() {
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://2852039166/",
    ] {
        let error = failure(url.to_owned(), None).await;
        assert_eq!(
            error,
            DeliveryError { class: Class::Denied(Denied), retry_after: None, permanent: true }
        );
    }
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_for_good() {
    for url in ["", "hooks.example.com/x", "file:///etc/passwd", "http://"] {
        let error = failure(url.to_owned(), None).await;
        assert_eq!(
            error,
            DeliveryError { class: Class::Url, retry_after: None, permanent: true },
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_missing_secret_sends_nothing_and_is_tried_again() {
    let receiver = Receiver::with_status(200, "").await;
    let error = failure(receiver.url(), Some("env:SLUICE_NO_SUCH_SECRET".to_owned())).await;
    assert_eq!(error.to_string(), "the secret's variable SLUICE_NO_SUCH_SECRET is not set");
    assert!(!error.permanent, "somebody may set it");
    assert!(receiver.requests().is_empty(), "an unsigned message is not sent instead");
}

#[tokio::test]
async fn neither_the_secret_nor_the_url_nor_the_answer_is_shown() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    let reference = Some(format!("file:{}", secret.path().display()));
    let body = "canary-in-the-answer";
    let answer = format!(
        "HTTP/1.1 500 canary-in-the-reason\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let receiver = Receiver::new(answer).await;
    let urls = [
        format!("{}/canary-in-the-url?token=canary", receiver.url()),
        "http://canary-user:canary@127.0.0.1:1/".to_owned(),
        "canary://".to_owned(),
    ];
    for text in ["canary-in-the-secret", "whsec_canary-in-the-secret"] {
        std::fs::write(secret.path(), text).unwrap();
        for url in &urls {
            let error = failure(url.clone(), reference.clone()).await;
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
    for request in receiver.requests() {
        assert!(!request.head.contains("in-the-secret"), "{}", request.head);
    }
    assert!(!receiver.requests().is_empty());
}
