//! The side of the process that comes.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use traffic::{Inheritance, Listening};

use super::frame::{receive, receive_sockets, send};
use super::give::within;
use super::{Before, FromNew, FromOld, PROTOCOL, Will};

/// How long the one that runs may take for each of its answers.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How often one is looked for that answers: the one that runs may just be replaced by another.
const TRIES: u32 = 5;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(200);

/// All of a proxy that runs.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) will: Will,
    pub(crate) sockets: Inheritance,
    stream: UnixStream,
}

/// Takes over from the proxy that runs in the state folder; `None` when there is none.
///
/// # Errors
/// It does not hand over, and goes on.
pub(crate) async fn take(folder: &Path) -> io::Result<Option<Estate>> {
    let mut last = None;
    for _ in 0..TRIES {
        let path = within(folder, |short| Ok(std::os::unix::net::UnixStream::connect(short)))?;
        match path {
            Err(error) if is_nobody(&error) => return last.map_or(Ok(None), Err),
            Err(error) => return Err(error),
            Ok(stream) => {
                stream.set_nonblocking(true)?;
                match timeout(ANSWER_WITHIN, Estate::receive(UnixStream::from_std(stream)?)).await {
                    Ok(Ok(estate)) => return Ok(Some(estate)),
                    Ok(Err(error)) if is_broken_off(&error) => last = Some(error),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => {
                        let text = format!("it did not answer within {ANSWER_WITHIN:?}");
                        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                    }
                }
            }
        }
        sleep(PAUSE).await;
    }
    last.map_or(Ok(None), Err)
}

impl Estate {
    async fn receive(mut stream: UnixStream) -> io::Result<Self> {
        send(&mut stream, &FromNew::Hello { protocol: PROTOCOL, pid: std::process::id() }).await?;
        let (will, doors) = match receive(&mut stream).await? {
            FromOld::Will { will, doors } => (*will, doors),
            FromOld::No(why) => return Err(io::Error::other(why)),
            other => return Err(io::Error::other(format!("read {other:?} where a will belongs"))),
        };
        let mut sockets = BTreeMap::new();
        for door in doors {
            let own = receive_sockets(&stream, door.sockets).await?;
            let Some(first) = own.first() else { continue };
            let listening = Listening { bound: first.local_addr()?, sockets: own };
            sockets.insert(door.address, listening);
        }
        Ok(Self { will, sockets: Inheritance(sockets), stream })
    }
}

/// What an estate came through: the one that runs, which still accepts.
#[derive(Debug)]
pub(crate) struct Testator(UnixStream);

impl Estate {
    /// Its parts.
    pub(crate) fn open(self) -> (Will, Inheritance, Testator) {
        (self.will, self.sockets, Testator(self.stream))
    }
}

impl Testator {
    /// Says that all of it is served here. When this answers, the one from before accepts no
    /// more, and has let go of the state folder and of the controller.
    ///
    /// # Errors
    /// It is not known whether it has: it broke off.
    pub(crate) async fn serving(mut self) -> io::Result<Before> {
        let told = async {
            send(&mut self.0, &FromNew::Serving).await?;
            receive(&mut self.0).await
        };
        match timeout(ANSWER_WITHIN, told).await.map_err(|_| io::ErrorKind::TimedOut)?? {
            FromOld::Yours(still) => Ok(Before::new(self.0, *still)),
            other => Err(io::Error::other(format!("it said {other:?}"))),
        }
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

fn is_broken_off(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}
