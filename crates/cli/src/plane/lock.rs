//! One proxy a state folder.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use crate::exit::{Exit, Failure};

/// The file's name in the state folder.
const LOCK: &str = "lock";
/// How often the lock of a process that has just given it away is tried.
const TRIES: u32 = 250;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(20);

/// Held while a proxy works in the folder; the kernel releases it with the process.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it, at once or not at all.
    ///
    /// # Errors
    /// Another proxy has it, which is named; or the file cannot be used.
    pub(crate) fn take(folder: &Path) -> Result<Self, Failure> {
        match attempt(folder) {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => {
                let message = format!(
                    "another `sluice proxy` ({}) works in the state folder {}; give this one a \
                     folder of its own with --state, or take over from that one with --upgrade",
                    holder(folder),
                    folder.display()
                );
                Err(Failure::Because(Exit::Refused, message))
            }
            Err(error) => Err(unusable(folder, &error)),
        }
    }

    /// Takes it from a process that gives it away.
    ///
    /// # Errors
    /// That process still has it, or somebody else was quicker.
    pub(crate) async fn inherit(folder: &Path) -> Result<Self, Failure> {
        for _ in 1..TRIES {
            match attempt(folder) {
                Ok(Some(lock)) => return Ok(lock),
                Ok(None) => sleep(PAUSE).await,
                Err(error) => return Err(unusable(folder, &error)),
            }
        }
        Self::take(folder)
    }
}

fn attempt(folder: &Path) -> io::Result<Option<Lock>> {
    let path = folder.join(LOCK);
    let mut file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())?;
    Ok(Some(Lock { _file: file }))
}

/// Who has it, as far as that is written down.
fn holder(folder: &Path) -> String {
    let mut text = String::new();
    let read = File::open(folder.join(LOCK)).and_then(|mut file| file.read_to_string(&mut text));
    match read.ok().and_then(|_| text.trim().parse::<u32>().ok()) {
        Some(pid) => format!("process {pid}"),
        None => "which one is not known".to_owned(),
    }
}

fn unusable(folder: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("the state folder {} cannot be used: {error}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_is_refused_and_told_who_is_there_until_the_first_has_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let refused = Lock::take(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.contains("--upgrade") && refused.contains("--state"), "{refused}");
        let path = folder.path().to_owned();
        let waits = tokio::spawn(async move { Lock::inherit(&path).await.is_ok() });
        tokio::task::yield_now().await;
        drop(first);
        assert!(waits.await.unwrap());
    }
}
