//! What the keys of the live view do: each action asks once more before it is done.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use server::view::RolloutView;

use super::line::{Line, Tone};

/// The keys of actions: the key, the action's name in the API, what the footer says.
const ACTIONS: [(char, &str, &str); 4] = [
    ('p', "pause", "pause"),
    ('r', "resume", "resume"),
    ('c', "promote", "continue"),
    ('b', "rollback", "roll back"),
];

/// What a key press leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing but another footer.
    Stay,
    /// The view is left.
    Quit,
    /// An action is asked for.
    Do(Action),
    /// The view moves by so many lines.
    Scroll(i16),
}

/// An action, as it was meant when its key was pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Action {
    /// Its name in the API.
    pub(super) name: &'static str,
    /// The stage that was under way then: a promotion means no other.
    pub(super) stage: Option<String>,
}

/// What was pressed so far.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The action that waits for `y`.
    asked: Option<Action>,
    /// What became of the last one.
    said: Option<(String, Tone)>,
}

impl Keys {
    /// Takes a key.
    pub(super) fn press(&mut self, key: KeyEvent, view: Option<&RolloutView>) -> Step {
        if key.kind == KeyEventKind::Release {
            return Step::Stay;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, self.asked.take()) {
            (KeyCode::Char('c' | 'd'), _) if control => Step::Quit,
            (KeyCode::Char('y' | 'Y'), Some(action)) => {
                self.say(format!("asking to {} ...", action.name), Tone::Dim);
                Step::Do(action)
            }
            (_, Some(action)) => {
                self.say(format!("{} was not asked for", action.name), Tone::Dim);
                Step::Stay
            }
            (KeyCode::Char('q') | KeyCode::Esc, None) => Step::Quit,
            (KeyCode::Down | KeyCode::Char('j'), None) => Step::Scroll(1),
            (KeyCode::Up | KeyCode::Char('k'), None) => Step::Scroll(-1),
            (KeyCode::Char(pressed), None) => self.action(pressed, view),
            _ => Step::Stay,
        }
    }

    fn action(&mut self, pressed: char, view: Option<&RolloutView>) -> Step {
        let known = ACTIONS.iter().find(|(key, _, _)| *key == pressed);
        let (Some((_, name, _)), Some(view)) = (known, view) else { return Step::Stay };
        let action = view.actions.iter().find(|action| action.name == *name);
        if let Some(why) = action.and_then(|action| action.refused.as_ref()) {
            self.say(format!("{name} would be refused: {why}"), Tone::Warn);
        } else {
            self.said = None;
            let stage = view.stage().map(|stage| stage.name.clone());
            self.asked = Some(Action { name, stage });
        }
        Step::Stay
    }

    /// Has something said in the footer until the next action.
    pub(super) fn say(&mut self, text: String, tone: Tone) {
        self.said = Some((text, tone));
    }

    /// The footer: the question that waits, else what was said, else the keys.
    pub(super) fn footer(&self, view: Option<&RolloutView>) -> Vec<Line> {
        let said = match (&self.asked, &self.said, view) {
            (Some(action), _, Some(view)) => {
                let text = match &action.stage {
                    Some(stage) if action.name == "promote" => {
                        format!("end {stage} of {} {}? y/n", view.service, view.version)
                    }
                    _ => format!("{} {} {}? y/n", action.name, view.service, view.version),
                };
                Line::of(text, Tone::Strong)
            }
            (_, Some((text, tone)), _) => Line::of(text, *tone),
            _ => Line::default(),
        };
        vec![said, help(view)]
    }
}

fn help(view: Option<&RolloutView>) -> Line {
    let allowed = |name: &str| {
        let action = view.and_then(|view| view.actions.iter().find(|action| action.name == name));
        action.is_some_and(|action| action.refused.is_none())
    };
    let mut line = Line::default();
    for (key, name, label) in ACTIONS {
        let tone = if allowed(name) { Tone::Plain } else { Tone::Dim };
        line = line.with(key, Tone::Strong).with(format!(" {label}  "), tone);
    }
    line.with("q", Tone::Strong).with(" quit", Tone::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{paint, samples};

    fn press(keys: &mut Keys, pressed: &[char]) -> Vec<Step> {
        let view = samples::second_stage();
        let event = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE);
        pressed.iter().map(|key| keys.press(event(*key), Some(&view))).collect()
    }

    fn footer(keys: &Keys) -> String {
        paint::plain(&keys.footer(Some(&samples::second_stage())))
    }

    #[test]
    fn an_action_is_done_only_after_a_yes() {
        let mut keys = Keys::default();
        assert_eq!(press(&mut keys, &['b']), [Step::Stay]);
        assert!(footer(&keys).starts_with("rollback analyzer 2.4.1? y/n"));
        assert_eq!(
            press(&mut keys, &['y']),
            [Step::Do(Action { name: "rollback", stage: Some("ramp".to_owned()) })]
        );
        assert_eq!(press(&mut keys, &['y']), [Step::Stay]);
    }

    #[test]
    fn any_other_key_is_a_no() {
        let mut keys = Keys::default();
        assert_eq!(press(&mut keys, &['c', 'q', 'q']), [Step::Stay, Step::Stay, Step::Quit]);
        assert!(footer(&keys).starts_with("promote was not asked for"));
    }

    #[test]
    fn what_would_be_refused_is_not_asked_and_says_why() {
        let mut keys = Keys::default();
        assert_eq!(press(&mut keys, &['r', 'y']), [Step::Stay, Step::Stay]);
        let shown = footer(&keys);
        assert!(shown.starts_with("resume would be refused: only a paused"), "{shown}");
    }

    #[test]
    fn control_c_leaves_at_any_moment() {
        let mut keys = Keys::default();
        press(&mut keys, &['b']);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(keys.press(control_c, None), Step::Quit);
    }
}
