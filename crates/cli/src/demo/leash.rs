//! The demo's own folder, and what ends its processes when the demo itself is gone.
//!
//! A version's process outlives its controller on purpose. The demo's must not: nobody would
//! know of them. So each holds on to a socket the demo listens on, and when the demo is gone,
//! however it went, the socket closes, the process ends, and the folder goes with it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

/// How the name of a demo's folder begins.
const PREFIX: &str = "sluice-demo-";
/// The socket in it.
const SOCKET: &str = "leash";

/// The folder of one run of the demo; removed when this is dropped.
#[derive(Debug)]
pub(super) struct Home {
    folder: TempDir,
    /// Never accepted from: that it is open is all there is to know.
    _leash: UnixListener,
}

impl Home {
    /// Makes a folder in the system's place for temporary files.
    ///
    /// # Errors
    /// When there is no room for it, or the path is too long for a socket (107 bytes).
    pub(super) fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir()?;
        let leash = UnixListener::bind(folder.path().join(SOCKET))?;
        Ok(Self { folder, _leash: leash })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What a process is given to hold on to.
    pub(super) fn leash(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }
}

/// Holds on to the demo that listens on `leash`; answers once it is gone, and removes what it
/// left behind. Without a leash it never answers.
///
/// # Errors
/// When nobody listens on it.
pub(super) async fn hold(leash: Option<&Path>) -> io::Result<impl Future<Output = ()> + use<>> {
    let held = match leash {
        Some(leash) => Some((UnixStream::connect(leash).await?, leash.to_owned())),
        None => None,
    };
    Ok(async move {
        let Some((mut stream, leash)) = held else { return std::future::pending().await };
        // Nothing is ever sent, so whatever ends this read is the end of the demo.
        let _ = stream.read(&mut [0]).await;
        sweep(&leash);
    })
}

/// Removes the folder of a demo that is gone; nothing else is ever removed.
fn sweep(leash: &Path) {
    let Some(folder) = leash.parent().filter(|_| leash.file_name() == Some(OsStr::new(SOCKET)))
    else {
        return;
    };
    let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
    if name.starts_with(PREFIX) {
        // Another process of the same demo may be doing the same.
        let _ = std::fs::remove_dir_all(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_leash_ends_with_the_demo_and_the_folder_with_it() {
        let home = Home::new().unwrap();
        let folder = home.path().to_owned();
        let gone = hold(Some(&home.leash())).await.unwrap();
        // As when the demo is killed: the socket closes, and nobody removes the folder.
        let Home { folder: kept, _leash: leash } = home;
        let _ = kept.keep();
        drop(leash);
        gone.await;
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn nothing_but_a_folder_of_the_demo_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let leash = folder.path().join(SOCKET);
        let listener = UnixListener::bind(&leash).unwrap();
        let gone = hold(Some(&leash)).await.unwrap();
        drop(listener);
        gone.await;
        assert!(leash.exists());
    }

    #[tokio::test]
    async fn without_a_demo_there_is_nothing_to_hold_on_to() {
        let folder = tempfile::tempdir().unwrap();
        assert!(hold(Some(&folder.path().join(SOCKET))).await.is_err());
    }
}
