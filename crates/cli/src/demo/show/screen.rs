//! The rollout as `sluice status` shows it, with the story so far above and the load below.

use std::collections::VecDeque;
use std::io::{Stdout, stdout};

use crossterm::cursor::{Hide, Show};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Text};
use ratatui::widgets::Paragraph;
use rollout::units::Timestamp;
use server::view::RolloutView;

use super::super::load::Figures;
use crate::clock;
use crate::exit::Failure;
use crate::view;

/// Things that happened that stay in sight.
const NEWS: usize = 6;
/// The lines they take, with the title and an empty line.
const HEAD: u16 = 9;
/// The lines of the load.
const FOOT: u16 = 3;

/// The terminal's second screen; the first comes back when this is dropped, and before a
/// panic says anything.
pub(in crate::demo) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    dashboard: String,
    start: Timestamp,
    news: VecDeque<String>,
}

impl Screen {
    pub(super) fn open(dashboard: String) -> Result<Self, Failure> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            before(panic);
        }));
        execute!(stdout(), EnterAlternateScreen, Hide).map_err(Failure::ours)?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout())).map_err(Failure::ours)?;
        Ok(Self { terminal, dashboard, start: clock::now(), news: VecDeque::new() })
    }

    /// Adds to the story so far.
    pub(super) fn say(&mut self, text: &str) {
        if self.news.len() == NEWS {
            self.news.pop_front();
        }
        self.news.push_back(format!("{:5.1} s  {text}", self.seconds()));
    }

    /// Draws everything anew.
    pub(super) fn draw(
        &mut self,
        rollout: &RolloutView,
        figures: Option<&Figures>,
    ) -> Result<(), Failure> {
        let (head, foot) = (self.head(), foot(figures));
        let draw = |frame: &mut ratatui::Frame<'_>| {
            let parts = [Constraint::Length(HEAD), Constraint::Min(1), Constraint::Length(FOOT)];
            let [above, middle, below] = Layout::vertical(parts).areas(frame.area());
            frame.render_widget(Paragraph::new(head), above);
            let tree = view::screen(rollout, clock::now(), usize::from(middle.width));
            frame.render_widget(Paragraph::new(tree), middle);
            frame.render_widget(Paragraph::new(foot), below);
        };
        self.terminal.draw(draw).map(drop).map_err(Failure::ours)
    }

    fn head(&self) -> Text<'static> {
        let strong = Style::new().add_modifier(Modifier::BOLD);
        let title = format!("sluice demo   {}   Ctrl-C stops it", self.dashboard);
        let mut lines = vec![Line::styled(title, strong), Line::default()];
        lines.extend(self.news.iter().cloned().map(Line::from));
        Text::from(lines)
    }

    fn seconds(&self) -> f64 {
        clock::now().since(self.start).to_std().as_secs_f64()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    // A terminal that is gone has no first screen to come back.
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
}

fn foot(figures: Option<&Figures>) -> Text<'static> {
    let Some(figures) = figures else { return Text::from("\nno users yet") };
    let versions: Vec<String> = figures
        .versions
        .iter()
        .map(|(name, met)| {
            format!("{name} met {} users and failed {}", met.users, met.failed_users)
        })
        .collect();
    Text::from(format!(
        "\nUSERS {} sent {} requests, {} failed\n      {}",
        figures.users,
        figures.requests,
        figures.failed,
        versions.join("; ")
    ))
}
