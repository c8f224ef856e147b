//! The live view: drawn anew with each update, until the rollout is over or somebody leaves.

use std::fmt::Display;
use std::future::pending;
use std::time::Duration;

use crossterm::event::{self, Event};
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::layout::{Constraint, Layout};
use ratatui::widgets::Paragraph;
use server::view::RolloutView;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
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
        acting: None,
    };
    let mut terminal = ratatui::try_init().map_err(Failure::ours)?;
    let ended = watch.run(&mut terminal, read_events()).await;
    ratatui::restore();
    watch.hear_out().await?;
    watch.leave(ended)
}

/// How the live view came to its end.
enum End {
    Over,
    Left,
}

/// An action that was asked for: what it was, and what the controller answers. It goes on whatever
/// becomes of the view.
struct Acting {
    name: &'static str,
    answer: JoinHandle<Result<RolloutView, Failure>>,
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
    /// The last action, until it is answered.
    acting: Option<Acting>,
}

impl Watch {
    /// Draws, and takes what comes. An action is one more thing that comes: the keys and the
    /// clock go on while the controller takes its time.
    async fn run<B: Backend>(
        &mut self,
        terminal: &mut Terminal<B>,
        mut events: mpsc::Receiver<Event>,
    ) -> Result<End, Failure>
    where
        B::Error: Display,
    {
        let mut updates = follow(self.client.clone(), self.id.clone());
        let mut tick = interval(REDRAW);
        let mut stop = signals::Stop::new().map_err(Failure::ours)?;
        loop {
            self.draw(terminal)?;
            tokio::select! {
                update = updates.recv() => match update {
                    Some(update) => self.update(update)?,
                    None => return Ok(End::Over),
                },
                Some(event) = events.recv() => match self.event(&event) {
                    Step::Quit => return Ok(End::Left),
                    // Nothing stands in front of a rollback.
                    Step::Do(action) if self.acting.is_some() && action.name != "rollback" => {
                        self.keys.say("the last action is not answered yet".to_owned(), Tone::Warn);
                    }
                    Step::Do(action) => self.acting = Some(self.act(action)),
                    Step::Stay | Step::Scroll(_) => {}
                },
                (name, answer) = answered(&mut self.acting) => {
                    self.acting = None;
                    self.answered(name, answer);
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

    fn event(&mut self, event: &Event) -> Step {
        let Event::Key(key) = event else { return Step::Stay };
        let step = self.keys.press(*key, self.view.as_ref());
        if let Step::Scroll(lines) = step {
            self.scroll = self.scroll.saturating_add_signed(lines);
        }
        step
    }

    /// Asks for an action.
    fn act(&self, action: Action) -> Acting {
        let (client, id) = (self.client.clone(), self.id.clone());
        let Action { name, stage } = action;
        let answer = tokio::spawn(async move {
            match name {
                "promote" => client.promote(&id, stage.as_deref(), "").await,
                name => client.act(&id, name, "").await,
            }
        });
        Acting { name, answer }
    }

    /// Whoever asked for something and left at once still gets to know what became of it.
    async fn hear_out(&mut self) -> Result<(), Failure> {
        let Some(Acting { name, .. }) = &self.acting else { return Ok(()) };
        let name = *name;
        note(&format!("waiting for the answer to {name} ..."));
        let mut stop = signals::Stop::new().map_err(Failure::ours)?;
        tokio::select! {
            (name, answer) = answered(&mut self.acting) => match answer {
                Ok(view) => {
                    note(&format!("{name}: done"));
                    self.view = Some(view);
                    Ok(())
                }
                Err(failure) => Err(failure),
            },
            () = stop.wait() => Err(Failure::ours(format!("{name} is not answered; whether it was done, `sluice status` tells"))),
        }
    }

    fn answered(&mut self, name: &str, answer: Result<RolloutView, Failure>) {
        match answer {
            Ok(view) => {
                self.keys.say(format!("{name}: done"), Tone::Good);
                self.view = Some(view);
            }
            Err(failure) => self.keys.say(failure.to_string(), Tone::Bad),
        }
    }

    fn draw<B: Backend>(&mut self, terminal: &mut Terminal<B>) -> Result<(), Failure>
    where
        B::Error: Display,
    {
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

/// What the controller answers to the action under way; nothing while there is none.
async fn answered(acting: &mut Option<Acting>) -> (&'static str, Result<RolloutView, Failure>) {
    match acting {
        Some(Acting { name, answer }) => (name, answer.await.map_err(Failure::ours).flatten()),
        None => pending().await,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use ratatui::backend::TestBackend;
    use reqwest::Url;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_view_can_be_left_while_the_controller_does_not_answer() {
        // Takes connections, and says nothing.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut watch = Watch {
            client: Client::new(url, None, String::new()).unwrap(),
            id: "analyzer-7".to_owned(),
            view: Some(samples::second_stage()),
            lost: None,
            keys: Keys::default(),
            scroll: 0,
            colour: false,
            acting: None,
        };
        let (keys, events) = mpsc::channel(8);
        for key in ['p', 'y', 'p', 'y', 'b', 'y'] {
            keys.send(key_of(KeyCode::Char(key), KeyModifiers::NONE)).await.unwrap();
        }
        let mut terminal = Terminal::new(TestBackend::new(80, 40)).unwrap();
        let leave = async {
            keys.send(key_of(KeyCode::Char('c'), KeyModifiers::CONTROL)).await.unwrap();
        };
        let (ended, ()) = tokio::join!(watch.run(&mut terminal, events), leave);
        assert!(matches!(ended, Ok(End::Left)));
        let footer = paint::plain(&watch.keys.footer(watch.view.as_ref()));
        assert!(footer.contains("asking to rollback"), "{footer}");
        let waiting = watch.acting.expect("it is heard out");
        assert_eq!(waiting.name, "rollback", "nothing stands in front of it");
        assert!(!waiting.answer.is_finished());
    }

    fn key_of(code: KeyCode, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(code, modifiers))
    }
}
