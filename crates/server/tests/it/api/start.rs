//! Starting and stopping a controller.

use std::net::SocketAddr;

use secrecy::ExposeSecret as _;
use server::serve::{ServeSettings, StartError, start};
use server::view::RolloutView;
use tokio::net::TcpListener;

use super::client::Ask;
use super::world::{Controller, settings};

async fn refused(settings: ServeSettings) -> StartError {
    match start(settings).await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn an_address_others_can_reach_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let listen: SocketAddr = "0.0.0.0:7373".parse().unwrap();
    let error = refused(ServeSettings { listen, ..settings(&folder, None) }).await.to_string();
    assert!(error.contains("0.0.0.0:7373: TLS and roles are not there yet"), "{error}");
    assert!(error.contains("allowed: 127.0.0.1:<port>"), "{error}");
    assert!(!folder.path().join("state").exists(), "and nothing was made");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_the_folder_is_free_again() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let error = refused(ServeSettings { listen, ..settings(&folder, None) }).await.to_string();
    assert!(error.starts_with(&format!("cannot listen on {listen} for the API")), "{error}");
    assert!(error.contains("--listen"), "{error}");
    start(settings(&folder, None)).await.unwrap().stop().await;
}

#[tokio::test]
async fn a_folder_has_one_controller() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(settings(&folder, None)).await.unwrap();
    let error = refused(settings(&folder, None)).await;
    assert!(matches!(error, StartError::Lease { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
    assert!(said.contains("--state"), "{said}");
    first.stop().await;
}

#[tokio::test]
async fn a_controller_that_starts_again_knows_its_token_and_its_rollouts() {
    let mut controller = Controller::start().await;
    let id = controller.create("1.0").await;
    let before = controller.until(&id, "promoted").await;
    controller.stop().await;
    let server = start(settings(controller.folder(), None)).await.unwrap();
    assert_eq!(server.token.expose_secret(), controller.token);
    let list = controller.with_token(Ask::get("/api/rollouts"));
    let after: Vec<RolloutView> = list.send(server.address).await.json();
    assert_eq!(after.len(), 1);
    assert_eq!(
        (&after[0].id, &after[0].state, after[0].seq),
        (&before.id, &before.state, before.seq)
    );
    server.stop().await;
}

#[tokio::test]
async fn a_controller_that_has_stopped_says_so_to_whoever_still_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(settings(&folder, None)).await.unwrap();
    let engine = server.engine.clone();
    let address = server.address;
    server.stop().await;
    engine.ended().await;
    assert!(engine.views().await.is_err());
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the door is shut");
}
