//! What every operation is given.

use tokio::sync::watch;

use super::access::Auth;
use crate::engine::Engine;

/// What every operation is given. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Who does the work.
    pub engine: Engine,
    /// Who may ask for it.
    pub auth: Auth,
    /// When answers that take long have to end.
    pub stopping: Stopping,
}

/// Tells answers that take long that the server stops.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Something that stops, and what makes it stop: sending `true`, or dropping the sender.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (stop, stopping) = watch::channel(false);
        (stop, Self(stopping))
    }

    /// Answers once the server stops.
    pub async fn wait(&self) {
        // An error means that the server is gone, which is stopping too.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_stops_when_told_and_when_nobody_is_left_to_tell() {
        let (stop, stopping) = Stopping::new();
        stop.send(true).unwrap();
        stopping.wait().await;
        let (stop, stopping) = Stopping::new();
        drop(stop);
        stopping.wait().await;
    }
}
