//! Upgraded connections: bytes both ways, counted, ended with the drain.

use std::io;
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::exchange::Client;
use super::forward::Lease;
use super::listen::closing;
use super::visit::Visit;

/// How long one side may still talk when the other is done.
const HALF_OPEN: Duration = Duration::from_mins(1);
/// Bytes moved at once.
const PIECE: usize = 16 * 1024;

/// Joins a client to an upstream that agreed to change the protocol. The tunnel ends when
/// either side does, when the release's drain is over, or when the service's is. A peer that
/// vanished is found by TCP keep-alive; silence is no fault.
pub(crate) fn tunnel(
    client: &Client,
    lease: Lease,
    mut visit: Visit,
    ours: OnUpgrade,
    theirs: OnUpgrade,
) {
    let upstream = lease.upstream().clone();
    let worker = client.worker.clone();
    let turn = client.door.turns();
    let task = tokio::task::spawn_local(async move {
        let joined = join(ours, theirs, &mut visit);
        tokio::select! {
            ended = joined => if let Err(error) = ended {
                tracing::debug!(%error, "upgraded connection ended");
            },
            () = closing(turn) => {}
        }
        visit.complete();
        drop(lease);
    });
    worker.pools.live(&upstream, task.abort_handle());
}

async fn join(ours: OnUpgrade, theirs: OnUpgrade, visit: &mut Visit) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(ours, theirs).map_err(io::Error::other)?;
    let (mut from_client, mut to_client) = halves(client);
    let (mut from_upstream, mut to_upstream) = halves(upstream);
    let (mut up, mut down) = (0, 0);
    let (sent, received) = (
        pass(&mut from_client, &mut to_upstream, &mut up),
        pass(&mut from_upstream, &mut to_client, &mut down),
    );
    let result = first_then(sent, received).await;
    visit.received(up);
    visit.sent(down);
    result
}

fn halves(io: Upgraded) -> (impl AsyncRead + Unpin, impl AsyncWrite + Unpin) {
    tokio::io::split(TokioIo::new(io))
}

/// Both directions; when one is done the other has [`HALF_OPEN`] left.
async fn first_then(
    one: impl Future<Output = io::Result<()>>,
    other: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    tokio::select! {
        done = &mut one => { done?; timeout(HALF_OPEN, other).await.unwrap_or(Ok(())) }
        done = &mut other => { done?; timeout(HALF_OPEN, one).await.unwrap_or(Ok(())) }
    }
}

async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    passed: &mut usize,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(piece.get(..count).unwrap_or_default()).await?;
        *passed = passed.saturating_add(count);
    }
}
