//! Which rollout is meant when a person writes an id, a service, or nothing.

use server::view::RolloutView;

use super::Client;
use crate::exit::Failure;

impl Client {
    /// The rollout to ask `verb` of: under way, by its id, its service, or as the only one.
    /// One that waits is taken back by its id alone: who takes a service back means what
    /// its users meet.
    ///
    /// # Errors
    /// None or several are meant.
    pub(crate) async fn under_way(
        &self,
        named: Option<&str>,
        verb: &str,
    ) -> Result<RolloutView, Failure> {
        let picked = pick(self.rollouts().await?, named, false)?;
        if verb == "rollback" && !picked.begun && named != Some(picked.id.as_str()) {
            let id = &picked.id;
            return Err(Failure::usage(format!(
                "nothing is under way but {id}, which has not begun; call it off with `sluice rollback {id}`"
            )));
        }
        Ok(picked)
    }

    /// The rollout to look at: under way, else the newest that is over.
    ///
    /// # Errors
    /// None or several are meant.
    pub(crate) async fn latest(&self, named: Option<&str>) -> Result<RolloutView, Failure> {
        let picked = pick(self.rollouts().await?, named, true)?;
        // The list says nothing of what is observed now of one that is over.
        self.rollout(&picked.id).await
    }
}

/// Picks from `all`, the newest first. An id always picks; rollouts that are over are picked
/// without their id only where `over` says so, and only when none is under way.
fn pick(all: Vec<RolloutView>, named: Option<&str>, over: bool) -> Result<RolloutView, Failure> {
    if let Some(exact) = all.iter().find(|view| named == Some(view.id.as_str())) {
        return Ok(exact.clone());
    }
    let meant: Vec<RolloutView> =
        all.into_iter().filter(|view| named.is_none_or(|name| view.service == name)).collect();
    let (current, past): (Vec<_>, Vec<_>) = meant.into_iter().partition(|view| !view.over);
    // Of one service, those that wait are behind the one that moves.
    let (waiting, moving): (Vec<_>, Vec<_>) = current.into_iter().partition(|view| !view.begun);
    let mut candidates = if moving.is_empty() { waiting } else { moving };
    if candidates.is_empty() && over {
        candidates.extend(past.into_iter().next());
    }
    match candidates.len() {
        0 => Err(Failure::usage(none(named, over))),
        1 => Ok(candidates.remove(0)),
        _ => Err(Failure::usage(several(&candidates))),
    }
}

fn none(named: Option<&str>, over: bool) -> String {
    match (named, over) {
        (Some(name), true) => {
            format!("read {name:?}; there is no rollout and no service of that name")
        }
        (Some(name), false) => {
            format!(
                "read {name:?}; no rollout of that id, and none of a service of that name is under way"
            )
        }
        (None, true) => "there is no rollout yet; start one with `sluice start`".to_owned(),
        (None, false) => "no rollout is under way".to_owned(),
    }
}

fn several(candidates: &[RolloutView]) -> String {
    let ids: Vec<&str> = candidates.iter().map(|view| view.id.as_str()).collect();
    format!("several rollouts are under way; say which: {}", ids.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;
    use server::view::RolloutState;

    fn all(rollouts: &[(&str, RolloutState)]) -> Vec<RolloutView> {
        rollouts.iter().map(|(id, state)| samples::in_state(id, *state)).collect()
    }

    fn picked(rollouts: &[(&str, RolloutState)], named: Option<&str>, over: bool) -> String {
        match pick(all(rollouts), named, over) {
            Ok(view) => view.id,
            Err(Failure::Because(_, why)) => why,
            Err(other) => format!("{other:?}"),
        }
    }

    #[test]
    fn one_under_way_needs_no_name() {
        let some = [
            ("a-3", RolloutState::Waiting),
            ("a-2", RolloutState::Running),
            ("a-1", RolloutState::Promoted),
        ];
        assert_eq!(picked(&some, None, false), "a-2");
        assert_eq!(picked(&some, Some("a"), false), "a-2");
        assert_eq!(picked(&some, Some("a-3"), false), "a-3");
        assert_eq!(picked(&some[2..], None, false), "no rollout is under way");
    }

    #[test]
    fn among_several_a_name_is_asked_for() {
        let some = [("b-1", RolloutState::Running), ("a-2", RolloutState::Paused)];
        assert_eq!(
            picked(&some, None, true),
            "several rollouts are under way; say which: b-1, a-2"
        );
        assert_eq!(picked(&some, Some("b"), true), "b-1");
    }

    #[test]
    fn what_is_over_is_looked_at_and_not_acted_on() {
        let past = [("a-2", RolloutState::RolledBack), ("a-1", RolloutState::Promoted)];
        assert_eq!(picked(&past, Some("a"), true), "a-2");
        assert!(picked(&past, Some("a"), false).contains("is under way"));
        assert!(picked(&past, Some("c"), true).contains("no service of that name"));
    }
}
