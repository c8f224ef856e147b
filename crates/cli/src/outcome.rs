//! What a rollout's state means for the exit code, and waiting for one that ends.

use std::time::Duration;

use rollout::units::Millis;
use server::view::{RolloutState, RolloutView};
use tokio::time::timeout;

use crate::client::{Client, Update, follow};
use crate::exit::{Exit, Failure};
use crate::output::note;
use crate::signals;

/// For so many seconds in a row a controller may be away before waiting is given up; each
/// attempt takes at least one.
const LOSSES: u32 = 60;

/// The exit code that tells where a rollout stands.
pub(crate) fn of(view: &RolloutView) -> Exit {
    match view.state {
        RolloutState::RollingBack | RolloutState::RolledBack => Exit::RolledBack,
        RolloutState::Superseded | RolloutState::CalledOff => Exit::Refused,
        RolloutState::Paused => Exit::Waiting,
        RolloutState::Waiting
        | RolloutState::Deploying
        | RolloutState::Running
        | RolloutState::Baking
        | RolloutState::Promoted => {
            if view.person_asked {
                Exit::Waiting
            } else {
                Exit::Done
            }
        }
    }
}

/// Whether nothing more is to be waited for: it is over, or only a person can move it on.
fn is_settled(view: &RolloutView) -> bool {
    view.over || of(view) == Exit::Waiting
}

/// Waits until rollout `id` is over or waits for a person, and tells each move on standard
/// error.
///
/// # Errors
/// It cannot be followed, or was not over within `limit`.
pub(crate) async fn wait(
    client: &Client,
    id: &str,
    limit: Option<Duration>,
) -> Result<RolloutView, Failure> {
    let mut stop = signals::Stop::new().map_err(Failure::ours)?;
    let settled = async {
        tokio::select! {
            settled = settle(client, id) => settled,
            () = stop.wait() => Err(Failure::Because(
                Exit::Failed,
                format!("stopped waiting; {id} goes on (`sluice status {id} --wait` to wait again)"),
            )),
        }
    };
    match limit {
        None => settled.await,
        Some(limit) => timeout(limit, settled).await.unwrap_or_else(|_| {
            let limit = Millis(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
            let message = format!("{id} was not over within {limit}; it goes on");
            Err(Failure::Because(Exit::TimedOut, message))
        }),
    }
}

async fn settle(client: &Client, id: &str) -> Result<RolloutView, Failure> {
    let mut updates = follow(client.clone(), id.to_owned());
    let mut told = String::new();
    let mut losses = 0;
    while let Some(update) = updates.recv().await {
        match update {
            Update::View(view) if is_settled(&view) => return Ok(*view),
            Update::View(view) => {
                losses = 0;
                tell(&mut told, moved(&view));
            }
            Update::Lost(why) => {
                losses += 1;
                if losses > LOSSES {
                    return Err(Failure::Because(Exit::Unreachable, why));
                }
                tell(&mut told, format!("{why}; asking again"));
            }
            Update::Ended(failure) => return Err(failure),
        }
    }
    Err(Failure::ours("the rollout could not be followed to its end"))
}

fn moved(view: &RolloutView) -> String {
    let stage = view.stages.iter().find(|stage| stage.status == "current");
    let at = stage.map(|stage| format!(", stage {} at {}", stage.name, view.weight));
    format!("{} {}{}", view.id, view.state, at.unwrap_or_default())
}

/// Says what was not said last.
fn tell(told: &mut String, text: String) {
    if *told != text {
        note(&text);
        *told = text;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples::in_state;

    #[test]
    fn states_become_exit_codes() {
        let code = |state| of(&in_state("a-1", state));
        for state in [
            RolloutState::Waiting,
            RolloutState::Deploying,
            RolloutState::Running,
            RolloutState::Baking,
            RolloutState::Promoted,
        ] {
            assert_eq!(code(state), Exit::Done, "{state}");
        }
        assert_eq!(code(RolloutState::Paused), Exit::Waiting);
        assert_eq!(
            [code(RolloutState::RollingBack), code(RolloutState::RolledBack)],
            [Exit::RolledBack; 2]
        );
        assert_eq!(
            [code(RolloutState::Superseded), code(RolloutState::CalledOff)],
            [Exit::Refused; 2]
        );
    }

    #[test]
    fn a_rollout_that_asked_for_a_person_is_waited_for_no_longer() {
        let mut view = in_state("a-1", RolloutState::Running);
        assert!(!is_settled(&view));
        view.person_asked = true;
        assert!(is_settled(&view));
        assert_eq!(of(&view), Exit::Waiting);
    }
}
