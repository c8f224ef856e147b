//! What is happening, while it happens: a screen on a terminal, lines elsewhere.

mod lines;
mod screen;

use std::io::{IsTerminal, stdout};

use rollout::units::Timestamp;
use server::view::{EventView, RolloutView};

use self::lines::Lines;
use self::screen::Screen;
use super::load::Figures;
use super::set::Set;
use crate::clock;
use crate::exit::Failure;

/// Where it is shown.
pub(super) enum Show {
    Lines(Lines),
    Screen(Box<Screen>),
}

impl Show {
    /// A screen where standard output is a terminal that can draw, lines otherwise.
    ///
    /// # Errors
    /// The terminal cannot be used.
    pub(super) fn begin(set: &Set) -> Result<Self, Failure> {
        let draws = stdout().is_terminal()
            && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb");
        if draws {
            return Ok(Self::Screen(Box::new(Screen::open(&set.dashboard())?)));
        }
        let mut lines = Lines::new();
        lines.say(&format!("the controller is up, its dashboard at {}", set.dashboard()));
        Ok(Self::Lines(lines))
    }

    /// Something that no rollout says by itself.
    pub(super) fn says(&mut self, text: &str) {
        match self {
            Self::Lines(lines) => lines.say(text),
            Self::Screen(screen) => screen.say(text),
        }
    }

    /// Nothing more is shown; what was stays on the terminal.
    pub(super) fn end(self) {
        if let Self::Screen(screen) = self {
            screen.close();
        }
    }

    /// How a rollout stands, and what happened to it since the last time.
    ///
    /// # Errors
    /// The terminal cannot be drawn on.
    pub(super) fn update(
        &mut self,
        view: &RolloutView,
        news: &[EventView],
        figures: Option<&Figures>,
    ) -> Result<(), Failure> {
        let told = news.iter().filter(|event| is_told(event)).map(|event| event.text.as_str());
        match self {
            Self::Lines(lines) => told.for_each(|text| lines.say(text)),
            Self::Screen(screen) => {
                told.for_each(|text| screen.say(text));
                screen.draw(view, figures)?;
            }
        }
        Ok(())
    }
}

/// `text` after the seconds since `start`.
fn dated(start: Timestamp, text: &str) -> String {
    let seconds = clock::now().since(start).to_std().as_secs_f64();
    format!("{seconds:5.1} s  {text}")
}

/// Each window of traffic is an event; they are the evidence, not the story.
fn is_told(event: &EventView) -> bool {
    event.kind != "block_observed"
}
