//! What the receiver gets, and what each of its answers means.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use rollout::plan::Webhook;
use rollout::units::{Millis, Timestamp};
use server::notifiers::{Class, DeliveryError, client, deliver};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

use super::receiver::Receiver;
use crate::roles;

const AT: Timestamp = Timestamp(1_790_000_000_123);
const BODY: &str = r#"{"type":"rollout.rolled_back","text":"grüße"}"#;

async fn send(receiver: &Receiver, secret: Option<String>) -> Result<(), DeliveryError> {
    let webhook = Webhook { url: receiver.url(), secret };
    deliver(&client().unwrap(), &webhook, "analyzer-7:12:0", AT, BODY).await
}

#[tokio::test]
async fn a_message_arrives_once_with_a_signature_that_verifies() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let receiver = Receiver::with_status(204, "").await;
    send(&receiver, Some(format!("file:{}", file.path().display()))).await.unwrap();

    let [request] = &receiver.requests()[..] else { panic!("{:?}", receiver.requests()) };
    assert!(request.head.starts_with("POST /hook HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.body, BODY);
    assert_eq!(request.header("content-type"), Some("application/json"));
    let (id, timestamp) =
        (request.header("webhook-id").unwrap(), request.header("webhook-timestamp").unwrap());
    assert_eq!((id, timestamp), ("analyzer-7:12:0", "1790000000"));
    let signature = request.header("webhook-signature").unwrap().strip_prefix("v1,").unwrap();
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{timestamp}.{}", request.body).as_bytes());
    mac.verify_slice(&STANDARD.decode(signature).unwrap()).unwrap();
}

#[tokio::test]
async fn without_a_secret_a_message_is_sent_unsigned() {
    let receiver = Receiver::with_status(200, "").await;
    send(&receiver, None).await.unwrap();
    assert_eq!(receiver.requests()[0].header("webhook-signature"), None);
}

#[tokio::test]
async fn what_may_work_later_is_told_from_what_never_will() {
    for (status, permanent) in [
        (400, true),
        (404, true),
        (410, true),
        (408, false),
        (425, false),
        (429, false),
        (500, false),
        (503, false),
    ] {
        let receiver = Receiver::with_status(status, "").await;
        let error = send(&receiver, None).await.unwrap_err();
        assert_eq!(
            error,
            DeliveryError { class: Class::Status(status), retry_after: None, permanent }
        );
        assert_eq!(error.to_string(), format!("the receiver answered with status {status}"));
    }
}

#[tokio::test]
async fn a_receiver_that_asks_to_be_left_alone_is_heard() {
    let receiver = Receiver::with_status(429, "Retry-After: 37\r\n").await;
    let error = send(&receiver, None).await.unwrap_err();
    assert_eq!(error.retry_after, Some(Millis::from_secs(37)));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Receiver::with_status(200, "").await;
    let receiver = Receiver::with_status(307, &format!("Location: {}\r\n", target.url())).await;
    let error = send(&receiver, None).await.unwrap_err();
    assert_eq!(error.class, Class::Status(307));
    assert!(!error.permanent);
    assert_eq!(receiver.requests().len(), 1);
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn an_answer_without_end_does_not_hold_a_delivery_up() {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    answer.resize(4 * 1024 * 1024, b' ');
    let receiver = Receiver::new(answer).await;
    send(&receiver, None).await.unwrap();
}

#[tokio::test]
async fn what_is_not_http_is_a_broken_exchange() {
    let receiver = Receiver::new("220 mail.test ESMTP\r\n").await;
    let error = send(&receiver, None).await.unwrap_err();
    assert_eq!(error, Class::Broken.into());
}

#[tokio::test]
async fn nobody_listening_is_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let webhook = Webhook { url: format!("http://127.0.0.1:{port}/"), secret: None };
    let error = deliver(&client().unwrap(), &webhook, "k", AT, BODY).await.unwrap_err();
    assert_eq!(error, DeliveryError { class: Class::Connect, retry_after: None, permanent: false });
}

#[tokio::test]
async fn a_receiver_that_speaks_no_tls_is_told_from_one_that_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _hello = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 this is http\r\n\r\n").await.unwrap();
    });
    let webhook = Webhook { url, secret: None };
    let error = deliver(&client().unwrap(), &webhook, "k", AT, BODY).await.unwrap_err();
    assert_eq!(error, DeliveryError { class: Class::Tls, retry_after: None, permanent: false });
}

#[tokio::test]
async fn a_machine_without_certificate_authorities_still_reaches_http_receivers() {
    let receiver = Receiver::with_status(200, "").await;
    let [program, words @ ..] = &roles::command()[..] else { unreachable!() };
    let mut courier = Command::new(program);
    courier.args(words).env(roles::ROLE, "courier").env("IT_URL", receiver.url());
    courier.env("SSL_CERT_FILE", "/no/such/file").env("SSL_CERT_DIR", "/no/such/folder");
    let outcome = courier.output().await.unwrap();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stdout));
    assert_eq!(receiver.requests().len(), 1);
}
