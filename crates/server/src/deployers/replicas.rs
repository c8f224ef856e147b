//! The processes of one release: one, or as many as its plan says.
//!
//! Each is kept by itself: its own port, record, output and pauses between starts. It goes by the
//! release's id; the second by that and `~2`, and so on. A release's id has no `~`.

use std::collections::BTreeMap;

use super::State;

/// Stands between a release's id and the number of its process.
const MARK: char = '~';

/// What the `nth` process of a release goes by, from 1.
pub(super) fn unit(release: &str, nth: u32) -> String {
    if nth == 1 { release.to_owned() } else { format!("{release}{MARK}{nth}") }
}

/// The release of a process, and which of its processes it is.
pub(super) fn owner(unit: &str) -> (&str, &str) {
    unit.split_once(MARK).unwrap_or((unit, "1"))
}

/// The release of a process.
pub fn release_of(unit: &str) -> &str {
    owner(unit).0
}

/// What is observed of a release's processes.
#[derive(Debug)]
pub struct Replicas<'a> {
    asked: usize,
    /// Each with its number.
    states: Vec<(&'a str, &'a State)>,
}

impl<'a> Replicas<'a> {
    /// Of `release`, of which `asked` processes should run.
    pub fn of(states: &'a BTreeMap<String, State>, release: &str, asked: u32) -> Self {
        let own = states.iter().map(|(unit, state)| (owner(unit), state));
        let own = own.filter(|((of, _), _)| *of == release);
        let mut states: Vec<_> = own.map(|((_, nth), state)| (nth, state)).collect();
        states.sort_by_key(|(nth, _)| nth.parse::<u32>().unwrap_or(u32::MAX));
        Self { asked: asked as usize, states }
    }

    /// Where those that are ready serve.
    pub fn addresses(&self) -> Vec<String> {
        self.ready().map(|(address, _)| address.to_owned()).collect()
    }

    /// Whether all of them are ready.
    pub fn are_ready(&self) -> bool {
        self.ready().count() >= self.asked
    }

    /// Whether nothing of the release is left.
    pub fn are_gone(&self) -> bool {
        self.states.iter().all(|(_, state)| **state == State::Stopped)
    }

    /// Why one of them fails, if one does; which one, where there are several.
    pub fn failing(&self) -> Option<String> {
        self.states.iter().find_map(|(nth, state)| match state {
            State::Failing { why, .. } if self.asked == 1 => Some(why.clone()),
            State::Failing { why, .. } => Some(format!("process {nth} of {} {why}", self.asked)),
            _ => None,
        })
    }

    /// As people read it: `ready on 127.0.0.1:4711 (pid 12)`, `2 of 3 ready on ...; failing ...`.
    pub fn reads(&self) -> String {
        if let (1, [] | [_]) = (self.asked, &*self.states) {
            return self.states.first().map_or_else(|| NONE.to_owned(), |(_, state)| one(state));
        }
        if self.are_gone() {
            return NONE.to_owned();
        }
        let ready: Vec<_> =
            self.ready().map(|(address, pid)| format!("{address} (pid {pid})")).collect();
        let mut text = format!("{} of {} ready", ready.len(), self.asked);
        if !ready.is_empty() {
            text = format!("{text} on {}", ready.join(", "));
        }
        let others = self
            .states
            .iter()
            .filter(|(_, state)| !matches!(state, State::Ready { .. } | State::Stopped));
        others.fold(text, |text, (nth, state)| format!("{text}; process {nth} {}", one(state)))
    }

    fn ready(&self) -> impl Iterator<Item = (&'a str, i32)> {
        self.states.iter().filter_map(|(_, state)| match state {
            State::Ready { address, pid } => Some((address.as_str(), *pid)),
            _ => None,
        })
    }
}

const NONE: &str = "not running";

fn one(state: &State) -> String {
    match state {
        State::Stopped => NONE.to_owned(),
        State::Starting { .. } => "starting".to_owned(),
        State::Ready { address, pid } => format!("ready on {address} (pid {pid})"),
        State::Failing { why, restarts } => format!("failing after {restarts} restarts: {why}"),
        State::Stopping => "stopping".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rollout::units::Timestamp;

    use super::*;

    fn ready(port: u16) -> State {
        State::Ready { address: format!("127.0.0.1:{port}"), pid: i32::from(port) }
    }

    fn failing() -> State {
        State::Failing { why: "exited with status 1".to_owned(), restarts: 2 }
    }

    fn all(states: &[(&str, State)]) -> BTreeMap<String, State> {
        states.iter().map(|(unit, state)| ((*unit).to_owned(), state.clone())).collect()
    }

    #[test]
    fn the_processes_of_a_release_are_told_from_those_of_others_and_counted() {
        let states = all(&[
            ("shop-1", ready(1)),
            ("shop-1~10", ready(10)),
            ("shop-1~2", failing()),
            ("shop-10", ready(7)),
            ("shop-11~2", ready(8)),
        ]);
        let replicas = Replicas::of(&states, "shop-1", 3);
        assert_eq!(replicas.addresses(), ["127.0.0.1:1", "127.0.0.1:10"]);
        assert!(!replicas.are_ready() && !replicas.are_gone());
        assert_eq!(replicas.failing().unwrap(), "process 2 of 3 exited with status 1");
        assert_eq!(
            replicas.reads(),
            "2 of 3 ready on 127.0.0.1:1 (pid 1), 127.0.0.1:10 (pid 10); process 2 failing after 2 \
             restarts: exited with status 1"
        );
    }

    #[test]
    fn a_release_is_ready_when_all_are_and_gone_when_none_is_left() {
        let starting = State::Starting { since: Timestamp(1) };
        let mut states = all(&[("a-1", ready(1)), ("a-1~2", starting)]);
        assert!(!Replicas::of(&states, "a-1", 2).are_ready());
        states.insert("a-1~2".to_owned(), ready(2));
        assert!(Replicas::of(&states, "a-1", 2).are_ready());
        let states = all(&[("a-1", State::Stopped), ("a-1~2", State::Stopping)]);
        assert!(!Replicas::of(&states, "a-1", 2).are_gone());
        assert_eq!(Replicas::of(&states, "a-1", 2).reads(), "0 of 2 ready; process 2 stopping");
        assert!(Replicas::of(&states, "b-1", 2).are_gone());
    }

    #[test]
    fn one_process_is_read_as_before() {
        let states = all(&[("a-1", ready(1)), ("b-1", failing())]);
        assert_eq!(Replicas::of(&states, "a-1", 1).reads(), "ready on 127.0.0.1:1 (pid 1)");
        let b = Replicas::of(&states, "b-1", 1);
        assert_eq!(b.failing().unwrap(), "exited with status 1");
        assert_eq!(b.reads(), "failing after 2 restarts: exited with status 1");
        assert_eq!(Replicas::of(&states, "c-1", 1).reads(), "not running");
    }
}
