//! Who works in the state folder, and whether it makes way.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use crate::exit::Failure;
use crate::plane::{Estate, Lock, take};

/// How often a process that has the state folder is asked to make way before it is given up.
const TRIES: u32 = 50;
/// Between two times.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is in the state folder.
pub(super) enum Place {
    /// Nobody; it is ours.
    Free(Lock),
    /// Another, and this is what it hands over, or why it does not.
    Taken(io::Result<Box<Estate>>),
}

impl Place {
    /// Finds out. One that has the folder and does not listen has just taken over itself, or is
    /// just ending: it is waited for.
    ///
    /// # Errors
    /// Another has it and makes no way, or is not asked to.
    pub(super) async fn find(folder: &Path, upgrade: bool) -> Result<Self, Failure> {
        for _ in 0..if upgrade { TRIES } else { 0 } {
            match take(folder).await {
                Ok(None) => {}
                Ok(Some(estate)) => return Ok(Self::Taken(Ok(Box::new(estate)))),
                Err(why) => return Ok(Self::Taken(Err(why))),
            }
            if let Ok(lock) = Lock::take(folder) {
                return Ok(Self::Free(lock));
            }
            sleep(PAUSE).await;
        }
        Lock::take(folder).map(Self::Free)
    }
}
