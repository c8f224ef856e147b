//! A rollout as a terminal shows it: one tree of text, drawn three ways.
//!
//! [`tree`] makes lines of words with a [`Tone`](line::Tone) each; [`paint`] makes plain text,
//! coloured text, or a screen of them. [`live`] keeps that screen up to date and takes keys.

mod figures;
mod gates;
mod keys;
mod line;
mod live;
mod paint;
mod plan;
#[cfg(test)]
pub(crate) mod samples;
mod stages;
mod table;
mod tracks;
mod tree;

use std::io::{IsTerminal, stdout};

use ratatui::text::Text;
use rollout::plan::Plan;
use rollout::units::Timestamp;
use server::view::RolloutView;

pub(crate) use live::watch;

/// The width without a terminal, in columns.
const PLAIN_WIDTH: usize = 100;

/// The whole of a rollout as text for standard output, with colour where that takes it.
pub(crate) fn text(view: &RolloutView, now: Timestamp) -> String {
    painted(&tree::lines(view, now, width()))
}

/// The whole of a rollout as a screen of `width` columns.
pub(crate) fn screen(view: &RolloutView, now: Timestamp, width: usize) -> Text<'static> {
    paint::screen(&tree::lines(view, now, width), crate::output::stdout_has_colour())
}

/// What a plan does as text for standard output, with colour where that takes it.
pub(crate) fn plan(name: &str, plan: &Plan) -> String {
    painted(&plan::lines(name, plan, width()))
}

fn width() -> usize {
    match crossterm::terminal::size() {
        Ok((columns, _)) if stdout().is_terminal() => usize::from(columns),
        _ => PLAIN_WIDTH,
    }
}

fn painted(lines: &[line::Line]) -> String {
    if crate::output::stdout_has_colour() { paint::coloured(lines) } else { paint::plain(lines) }
}
