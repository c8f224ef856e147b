//! The rollout as `sluice status` shows it, with the story so far above and the load below.

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
use crate::output::note;
use crate::view;

/// Things that happened last that stay in sight, where there is room.
const NEWS: u16 = 6;
/// The lines a rollout takes.
const ROLLOUT: u16 = 22;
/// The title and an empty line on either side of the news.
const TITLE: u16 = 3;
/// The lines of the load.
const FOOT: u16 = 3;

/// Draws on the terminal's second screen; the first comes back when this is dropped, and
/// before a panic says anything.
pub(in crate::demo) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    alternate: Alternate,
    title: String,
    start: Timestamp,
    /// Everything that happened.
    news: Vec<String>,
}

impl Screen {
    pub(super) fn open(dashboard: &str) -> Result<Self, Failure> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            before(panic);
        }));
        let alternate = Alternate;
        execute!(stdout(), EnterAlternateScreen, Hide).map_err(Failure::ours)?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout())).map_err(Failure::ours)?;
        let title = format!("sluice demo   {dashboard}   Ctrl-C stops it");
        Ok(Self { terminal, alternate, title, start: clock::now(), news: Vec::new() })
    }

    /// Adds to the story so far.
    pub(super) fn say(&mut self, text: &str) {
        self.news.push(super::dated(self.start, text));
    }

    /// Gives the terminal back, and the story with it.
    pub(super) fn close(self) {
        let news = self.news.join("\n");
        drop(self.alternate);
        note(&news);
    }

    /// Draws everything anew.
    pub(super) fn draw(
        &mut self,
        rollout: &RolloutView,
        figures: Option<&Figures>,
    ) -> Result<(), Failure> {
        let foot = foot(figures);
        let (title, news) = (&self.title, &self.news);
        let draw = |frame: &mut ratatui::Frame<'_>| {
            let room = frame.area().height.saturating_sub(TITLE + ROLLOUT + FOOT).clamp(1, NEWS);
            let above = Constraint::Length(TITLE + room);
            let parts = [above, Constraint::Min(1), Constraint::Length(FOOT)];
            let [above, middle, below] = Layout::vertical(parts).areas(frame.area());
            frame.render_widget(Paragraph::new(head(title, news, usize::from(room))), above);
            let tree = view::screen(rollout, clock::now(), usize::from(middle.width));
            frame.render_widget(Paragraph::new(tree), middle);
            frame.render_widget(Paragraph::new(foot), below);
        };
        self.terminal.draw(draw).map(drop).map_err(Failure::ours)
    }
}

/// The terminal's second screen; the first comes back when this is dropped.
struct Alternate;

impl Drop for Alternate {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    // A terminal that is gone has no first screen to come back.
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
}

/// The title, and what happened last.
fn head(title: &str, news: &[String], room: usize) -> Text<'static> {
    let strong = Style::new().add_modifier(Modifier::BOLD);
    let mut lines = vec![Line::styled(title.to_owned(), strong), Line::default()];
    let last = news.get(news.len().saturating_sub(room)..).unwrap_or_default();
    lines.extend(last.iter().cloned().map(Line::from));
    Text::from(lines)
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
