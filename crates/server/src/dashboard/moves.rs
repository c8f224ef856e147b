//! Why it last moved, and what happened before.

use maud::{Markup, html};

use super::text;
use crate::view::{EventView, RolloutView};

/// How many are shown; the rest is in the report.
const SHOWN: usize = 12;

pub(super) fn render(view: &RolloutView, events: &[EventView]) -> Markup {
    let moves = events.iter().rev().filter(|event| event.kind != "block_observed").take(SHOWN);
    html! {
        section aria-labelledby="moves" {
            h2 #moves { "Why it last moved" }
            p #last-move { (view.last_move) }
            ol.moves reversed {
                @for event in moves {
                    li {
                        time title=(text::moment(event.at)) { (text::time_of_day(event.at)) } " "
                        (event.text)
                    }
                }
            }
        }
    }
}
