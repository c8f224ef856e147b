//! The live view: drawn anew with each update, until the rollout is over or somebody leaves.

use std::time::Duration;

use crossterm::event::{self, Event};
use ratatui::DefaultTerminal;
use ratatui::layout::{Constraint, Layout};
use ratatui::widgets::Paragraph;
use server::view::RolloutView;
use tokio::sync::mpsc;
use tokio::time::interval;

use super::keys::{Action, Keys, Step};
use super::line::{Line, Tone, wrapped};
use super::{paint, tree};
use crate::client::{Client, Update, follow};
use crate::clock;
use crate::exit::{Exit, Failure};
use crate::output::{data, note, stdout_has_colour};
use crate::{outcome, signals};

/// How often ages are drawn anew when nothing else happens.
const REDRAW: Duration = Duration::from_secs(1);
/// How often the thread that reads keys looks whether it is still wanted.
const KEY_LOOK: Duration = Duration::from_millis(200);

/// Shows rollout `id` until it is over or somebody leaves; then prints what it was last.
///
/// # Errors
/// The terminal cannot be used, or the rollout cannot be followed.
pub(crate) async fn watch(client: &Client, id: &str) -> Result<Exit, Failure> {
    let colour = stdout_has_colour();
    let mut watch = Watch {
        client: client.clone(),
        id: id.to_owned(),
        view: None,
        lost: None,
        keys: Keys::default(),
        scroll: 0,
        colour,
    };
    let mut terminal = ratatui::try_init().map_err(Failure::ours)?;
    let ended = watch.run(&mut terminal).await;
    ratatui::restore();
    watch.leave(ended)
}

/// How the live view came to its end.
enum End {
    Over,
    Left,
}

struct Watch {
    client: Client,
    id: String,
    view: Option<RolloutView>,
    /// Why the controller does not answer, while it does not.
    lost: Option<String>,
    keys: Keys,
    /// Lines scrolled past.
    scroll: u16,
    colour: bool,
}

impl Watch {
    async fn run(&mut self, terminal: &mut DefaultTerminal) -> Result<End, Failure> {
        let mut updates = follow(self.client.clone(), self.id.clone());
        let mut events = read_events();
        let mut tick = interval(REDRAW);
        let mut stop = signals::Stop::new().map_err(Failure::ours)?;
        loop {
            self.draw(terminal)?;
            tokio::select! {
                update = updates.recv() => match update {
                    Some(update) => self.update(update)?,
                    None => return Ok(End::Over),
                },
                Some(event) = events.recv() => {
                    if self.event(&event).await == Step::Quit {
                        return Ok(End::Left);
                    }
                }
                _ = tick.tick() => {}
                () = stop.wait() => return Ok(End::Left),
            }
        }
    }

    fn update(&mut self, update: Update) -> Result<(), Failure> {
        match update {
            Update::View(view) => {
                self.view = Some(*view);
                self.lost = None;
            }
            Update::Lost(why) => self.lost = Some(why),
            Update::Ended(failure) => return Err(failure),
        }
        Ok(())
    }

    async fn event(&mut self, event: &Event) -> Step {
        let Event::Key(key) = event else { return Step::Stay };
        let step = self.keys.press(*key, self.view.as_ref());
        match &step {
            Step::Do(action) => self.act(action).await,
            Step::Scroll(lines) => self.scroll = self.scroll.saturating_add_signed(*lines),
            Step::Stay | Step::Quit => {}
        }
        step
    }

    async fn act(&mut self, action: &Action) {
        let asked = match action.name {
            "promote" => self.client.promote(&self.id, action.stage.as_deref(), "").await,
            name => self.client.act(&self.id, name, "").await,
        };
        match asked {
            Ok(view) => {
                self.keys.say(format!("{}: done", action.name), Tone::Good);
                self.view = Some(view);
            }
            Err(failure) => self.keys.say(failure.to_string(), Tone::Bad),
        }
    }

    fn draw(&mut self, terminal: &mut DefaultTerminal) -> Result<(), Failure> {
        let draw = |frame: &mut ratatui::Frame<'_>| {
            let [body, foot] =
                Layout::vertical([Constraint::Min(1), Constraint::Length(2)]).areas(frame.area());
            let lines = self.lines(usize::from(body.width));
            // Nothing is gained by scrolling past the last line.
            let most = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_sub(body.height);
            self.scroll = self.scroll.min(most);
            let text = paint::screen(&lines, self.colour);
            frame.render_widget(Paragraph::new(text).scroll((self.scroll, 0)), body);
            let footer = self.keys.footer(self.view.as_ref());
            frame.render_widget(Paragraph::new(paint::screen(&footer, self.colour)), foot);
        };
        terminal.draw(draw).map(drop).map_err(Failure::ours)
    }

    fn lines(&self, width: usize) -> Vec<Line> {
        let mut lines = Vec::new();
        if let Some(why) = &self.lost {
            let text = format!("{why}; asking again, what is below may be old");
            lines.extend(wrapped("! ", &text, width, Tone::Bad));
            lines.push(Line::default());
        }
        match &self.view {
            Some(view) => lines.extend(tree::lines(view, clock::now(), width)),
            None => lines.push(Line::of(format!("asking for {} ...", self.id), Tone::Dim)),
        }
        lines
    }

    /// Leaves the last look on the terminal and says how things stand.
    fn leave(self, ended: Result<End, Failure>) -> Result<Exit, Failure> {
        if let Some(view) = &self.view {
            data(&super::text(view, clock::now()))?;
        }
        let ended = ended?;
        let Some(view) = &self.view else { return Ok(Exit::Done) };
        if matches!(ended, End::Left) && !view.over {
            let id = &self.id;
            note(&format!("stopped watching; {id} goes on (`sluice status {id}` to watch again)"));
        }
        Ok(outcome::of(view))
    }
}

/// Reads the terminal's events on a thread, which ends soon after the receiver is dropped.
fn read_events() -> mpsc::Receiver<Event> {
    let (sender, events) = mpsc::channel(16);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            match event::poll(KEY_LOOK).and_then(|there| there.then(event::read).transpose()) {
                Ok(None) => {}
                Ok(Some(event)) => drop(sender.blocking_send(event)),
                Err(_) => return,
            }
        }
    });
    events
}
