//! Follows one rollout as it changes, across losses of the controller.

use std::time::Duration;

use reqwest::{Method, Response};
use server::view::RolloutView;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Client;
use crate::exit::{Exit, Failure};

/// The controller sends at least each second; after so long without a byte it is gone.
const SILENCE: Duration = Duration::from_secs(10);
/// How long to wait before the controller is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// News of a rollout.
#[derive(Debug)]
pub(crate) enum Update {
    /// It looks like this now.
    View(Box<RolloutView>),
    /// The controller does not answer, and why; it is asked again.
    Lost(String),
    /// It cannot be followed.
    Ended(Failure),
}

/// Follows rollout `id` until it is over or cannot be followed. Dropping the receiver ends it.
pub(crate) fn follow(client: Client, id: String) -> mpsc::Receiver<Update> {
    let (news, updates) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Err(failure) = stream(&client, &id, &news).await {
            let lost = matches!(failure, Failure::Because(Exit::Unreachable, _));
            let update = match failure {
                Failure::Because(Exit::Unreachable, why) => Update::Lost(why),
                other => Update::Ended(other),
            };
            if news.send(update).await.is_err() || !lost {
                return;
            }
            sleep(AGAIN).await;
        }
    });
    updates
}

/// Reads one stream to its end. `Ok` when there is nothing more to follow.
async fn stream(client: &Client, id: &str, news: &mpsc::Sender<Update>) -> Result<(), Failure> {
    let path = format!("/api/rollouts/{id}/stream");
    let request = client.request(Method::GET, &path)?.header("accept", "text/event-stream");
    let mut response = timeout(SILENCE, client.send(request)).await.map_err(|_| silent())??;
    let mut events = Events::default();
    while let Some(chunk) = chunk(client, &mut response).await? {
        for data in events.push(&chunk) {
            let view: RolloutView = serde_json::from_str(&data).map_err(|error| {
                Failure::ours(format!("the controller sent something else than a rollout: {error}"))
            })?;
            let over = view.over;
            if news.send(Update::View(Box::new(view))).await.is_err() || over {
                return Ok(());
            }
        }
    }
    Err(Failure::Because(Exit::Unreachable, "the controller ended the stream".to_owned()))
}

async fn chunk(client: &Client, response: &mut Response) -> Result<Option<Vec<u8>>, Failure> {
    let chunk = timeout(SILENCE, response.chunk()).await.map_err(|_| silent())?;
    Ok(chunk.map_err(|error| client.lost(&error))?.map(|bytes| bytes.to_vec()))
}

fn silent() -> Failure {
    let message = format!("the controller has sent nothing for {} s", SILENCE.as_secs());
    Failure::Because(Exit::Unreachable, message)
}

/// Puts server-sent events together from pieces. Only `data` matters here.
#[derive(Debug, Default)]
struct Events {
    left: Vec<u8>,
    data: String,
}

impl Events {
    /// The data of every event that is complete with this piece.
    fn push(&mut self, piece: &[u8]) -> Vec<String> {
        self.left.extend_from_slice(piece);
        let mut done = Vec::new();
        while let Some(end) = self.left.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.left.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.line(line.trim_end_matches(['\r', '\n']), &mut done);
        }
        done
    }

    fn line(&mut self, line: &str, done: &mut Vec<String>) {
        if let Some(data) = line.strip_prefix("data:") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        } else if line.is_empty() && !self.data.is_empty() {
            done.push(std::mem::take(&mut self.data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_put_together_from_any_pieces() {
        let text = "retry: 500\n\nevent: rollout\r\nid: 4\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\n:\n\ndata:é\n\n";
        for size in 1..text.len() {
            let mut events = Events::default();
            let found: Vec<String> =
                text.as_bytes().chunks(size).flat_map(|piece| events.push(piece)).collect();
            assert_eq!(found, ["{\"a\":\n1}", "é"], "in pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_its_end_is_not_told() {
        assert!(Events::default().push(b"data: {}\n").is_empty());
    }
}
