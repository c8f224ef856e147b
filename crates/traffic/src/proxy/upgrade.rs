//! Upgraded connections: bytes both ways, counted, ended with the drain.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::door::{Turns, closing};
use super::exchange::Client;
use super::forward::Lease;
use super::visit::{Tunnelled, Visit};

/// How long one side may still talk when the other is done.
const HALF_OPEN: Duration = Duration::from_mins(1);
/// Bytes moved at once.
const PIECE: usize = 16 * 1024;

/// A request that became a tunnel. Dropped before its end it was cut: by the drain of its
/// release or of its service, or with the proxy.
struct Tunnel {
    visit: Visit,
    lease: Lease,
    ended: bool,
}

impl Tunnel {
    async fn run(mut self, ours: OnUpgrade, theirs: OnUpgrade, turns: Turns) {
        let passed = self.visit.tunnelled();
        tokio::select! {
            ended = join(ours, theirs, &passed) => {
                self.ended = !self.lease.is_cut();
                if let Err(error) = ended {
                    tracing::debug!(%error, "upgraded connection ended");
                }
            }
            () = closing(turns) => {}
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if self.ended {
            self.visit.complete();
        } else {
            self.visit.cut();
        }
    }
}

/// Joins a client to an upstream that agreed to change the protocol. The tunnel ends when
/// either side does, when the release's drain is over, or when the service's is. A peer that
/// vanished is found by TCP keep-alive; silence is no fault.
pub(crate) fn tunnel(
    client: &Client,
    lease: Lease,
    visit: Visit,
    ours: OnUpgrade,
    theirs: OnUpgrade,
) {
    let upstream = lease.upstream().clone();
    let worker = client.worker.clone();
    let tunnel = Tunnel { visit, lease, ended: false };
    let task = tokio::task::spawn_local(tunnel.run(ours, theirs, client.door.turns()));
    worker.pools.live(&upstream, task.abort_handle());
    if upstream.is_cut() {
        // The answer came just before; nobody else would end what came of it.
        task.abort();
    }
}

async fn join(ours: OnUpgrade, theirs: OnUpgrade, passed: &Tunnelled) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(ours, theirs).map_err(io::Error::other)?;
    let (mut from_client, mut to_client) = halves(client);
    let (mut from_upstream, mut to_upstream) = halves(upstream);
    let (sent, received) = (
        pass(&mut from_client, &mut to_upstream, &passed.bytes_in),
        pass(&mut from_upstream, &mut to_client, &passed.bytes_out),
    );
    first_then(sent, received).await
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
    passed: &Cell<u64>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(piece.get(..count).unwrap_or_default()).await?;
        passed.set(passed.get().saturating_add(count as u64));
    }
}
