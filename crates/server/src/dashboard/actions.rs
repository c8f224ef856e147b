//! What can be done, each with its key and a question before it is done.

use maud::{Markup, html};

use crate::view::{ActionView, RolloutView};

/// How an action is shown: its name in the API, the button, the key, and the question.
struct Button {
    name: &'static str,
    text: &'static str,
    key: &'static str,
    question: &'static str,
}

const BUTTONS: [Button; 4] = [
    Button {
        name: "promote",
        text: "CONTINUE",
        key: "c",
        question: "End this stage now, without the rest of its soak?",
    },
    Button {
        name: "pause",
        text: "PAUSE",
        key: "p",
        question: "Stay in this stage until resumed?",
    },
    Button { name: "resume", text: "RESUME", key: "r", question: "Take the rollout up again?" },
    Button {
        name: "rollback",
        text: "ROLLBACK",
        key: "b",
        question: "Take the new version away from everybody?",
    },
];

pub(super) fn render(view: &RolloutView) -> Markup {
    if view.over {
        return html! {};
    }
    html! {
        section.actions aria-label="What can I do" data-rollout=(view.id)
            data-stage=[view.stage().map(|stage| &stage.name)] {
            @for button in &BUTTONS {
                @if let Some(action) = view.actions.iter().find(|action| action.name == button.name) {
                    (show(button, action))
                }
            }
        }
    }
}

/// A refused action stays focusable and says why.
fn show(button: &Button, action: &ActionView) -> Markup {
    let hint = format!("{}-refused", button.name);
    html! {
        div {
            button id={ "do-" (button.name) } type="button" data-action=(button.name) data-key=(button.key)
                data-question=(button.question) aria-keyshortcuts=(button.key)
                aria-disabled=[action.refused.as_ref().map(|_| "true")]
                aria-describedby=[action.refused.as_ref().map(|_| &hint)] {
                (button.text) " " kbd aria-hidden="true" { (button.key) }
            }
            @if let Some(why) = &action.refused { p.small id=(hint) { (why) } }
        }
    }
}
