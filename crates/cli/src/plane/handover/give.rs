//! The side of the process that runs.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollout::route::Snapshot;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use traffic::{Inheritance, TripReport};

use super::frame::{receive, send, send_sockets};
use super::{DoorOver, FromNew, FromOld, PROTOCOL, Still, Will};

/// The socket's name in the state folder.
const SOCKET: &str = "upgrade.sock";
/// How long who connects may take to say what it wants.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// Between two tries to hear who comes.
const AGAIN: Duration = Duration::from_secs(1);
/// How long it may take to serve what it was handed: reading certificates, looking up names.
const SERVES_WITHIN: Duration = Duration::from_mins(1);

/// Waits for a process that wants to take over.
#[derive(Debug)]
pub(crate) struct Giver {
    listener: UnixListener,
    path: PathBuf,
}

/// A process that wants to take over.
#[derive(Debug)]
pub(crate) struct Heir {
    stream: UnixStream,
    pub(crate) pid: u32,
}

/// One that has: what it says, and how to tell it something.
#[derive(Debug)]
pub(crate) struct Successor {
    said: mpsc::UnboundedReceiver<Said>,
    tell: OwnedWriteHalf,
}

/// What a successor says.
#[derive(Debug)]
pub(crate) enum Said {
    /// What is to be served from now on.
    Snapshot(Box<Snapshot>),
    /// The canary of this service is shut out.
    Shut(String),
}

impl Giver {
    /// Listens in the state folder, whose lock is held.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = within(folder, |short| UnixListener::bind(short))?;
        Ok(Self { listener, path })
    }

    /// The next process that wants to take over. Losing the wait loses at most one that has not
    /// said so yet, and that one asks again.
    pub(crate) async fn heir(&self) -> Heir {
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot hear who wants to upgrade");
                    sleep(AGAIN).await;
                    continue;
                }
            };
            match timeout(HELLO_WITHIN, greet(Heir { stream, pid: 0 })).await {
                Ok(Ok(heir)) => return heir,
                Ok(Err(why)) => tracing::warn!(%why, "somebody asked for an upgrade in vain"),
                Err(_) => tracing::warn!("somebody came for an upgrade and said nothing"),
            }
        }
    }
}

/// Hears who has come.
async fn greet(mut heir: Heir) -> io::Result<Heir> {
    let asks = heir.stream.peer_cred()?.uid();
    let own = rustix::process::geteuid().as_raw();
    if asks != own && asks != 0 {
        return heir.refuse(format!("it is of user {asks}, and this one of user {own}")).await;
    }
    match receive(&mut heir.stream).await? {
        FromNew::Hello { protocol: PROTOCOL, pid } => Ok(Heir { pid, ..heir }),
        FromNew::Hello { protocol, .. } => {
            heir.refuse(format!(
                "it hands over by protocol {PROTOCOL}, and the new one takes over by {protocol}; \
                     stop it and start the new one"
            ))
            .await
        }
        other => Err(io::Error::other(format!("read {other:?} where a hello belongs"))),
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        // Another may have put its own in the place; whoever holds the lock does so afterwards.
        let _ = fs::remove_file(&self.path);
    }
}

impl Heir {
    async fn refuse(mut self, why: String) -> io::Result<Self> {
        send(&mut self.stream, &FromOld::No(why.clone())).await?;
        Err(io::Error::other(why))
    }

    /// Hands everything over and waits until it is served. From then on both accept.
    ///
    /// # Errors
    /// It has gone, or does not serve in time: nothing has changed.
    pub(crate) async fn serves(&mut self, will: Will, sockets: Inheritance) -> io::Result<()> {
        let doors = sockets.0.iter().map(|(address, listening)| DoorOver {
            address: address.clone(),
            sockets: listening.sockets.len(),
        });
        let will = FromOld::Will { will: Box::new(will), doors: doors.collect() };
        send(&mut self.stream, &will).await?;
        for listening in sockets.0.values() {
            send_sockets(&self.stream, &listening.sockets).await?;
        }
        match timeout(SERVES_WITHIN, receive(&mut self.stream)).await {
            Ok(Ok(FromNew::Serving)) => Ok(()),
            Ok(Ok(other)) => Err(io::Error::other(format!("it said {other:?}"))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Gives the state folder and the controller away; both must be let go of before.
    pub(crate) async fn inherits(self, still: Still) -> Successor {
        let (hear, tell) = self.stream.into_split();
        let (saying, said) = mpsc::unbounded_channel();
        tokio::spawn(listen(hear, saying));
        let mut successor = Successor { said, tell };
        successor.say(FromOld::Yours(Box::new(still))).await;
        successor
    }
}

async fn listen(mut hear: OwnedReadHalf, saying: mpsc::UnboundedSender<Said>) {
    while let Ok(said) = receive(&mut hear).await {
        let said = match said {
            FromNew::Snapshot(snapshot) => Said::Snapshot(snapshot),
            FromNew::Shut(service) => Said::Shut(service),
            FromNew::Hello { .. } | FromNew::Serving => continue,
        };
        if saying.send(said).is_err() {
            return;
        }
    }
}

impl Successor {
    /// What it says next; waits for ever once it is gone.
    pub(crate) async fn said(&mut self) -> Said {
        match self.said.recv().await {
            Some(said) => said,
            None => std::future::pending().await,
        }
    }

    /// Tells it what was counted by now.
    pub(crate) async fn still(&mut self, still: Still) {
        self.say(FromOld::Still(Box::new(still))).await;
    }

    /// Tells it of a gate that was shut.
    pub(crate) async fn tripped(&mut self, trip: TripReport) {
        self.say(FromOld::Tripped(Box::new(trip))).await;
    }

    /// Tells it all that was counted, for the last time.
    pub(crate) async fn gone(mut self, still: Still) {
        self.say(FromOld::Gone(Box::new(still))).await;
    }

    /// One that is gone cannot be told; what is under way finishes all the same.
    async fn say(&mut self, message: FromOld) {
        if let Err(error) = send(&mut self.tell, &message).await {
            tracing::debug!(%error, "the process that took over cannot be told");
        }
    }
}

/// Calls with a short path of the socket in `folder`: a socket's path has 107 bytes at most.
pub(super) fn within<T>(folder: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let folder = fs::File::open(folder)?;
    call(&PathBuf::from(format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd())))
}
