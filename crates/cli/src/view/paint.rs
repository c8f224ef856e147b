//! Lines as plain text, as coloured text, and as a screen.

use std::fmt::Write;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{self, Span};

use super::line::{Line, Tone};

/// Lines as plain text.
pub(super) fn plain(lines: &[Line]) -> String {
    text_of(lines, |out, word, _| out.push_str(word))
}

/// Lines as text with colours of the terminal.
pub(super) fn coloured(lines: &[Line]) -> String {
    text_of(lines, |out, word, tone| match code(tone) {
        // Writing to a string cannot fail.
        Some(code) => drop(write!(out, "\x1b[{code}m{word}\x1b[0m")),
        None => out.push_str(word),
    })
}

/// Lines as a screen's text; without colour, words are told apart by weight alone.
pub(super) fn screen(lines: &[Line], colour: bool) -> text::Text<'static> {
    let span = |(word, tone): &(String, Tone)| Span::styled(word.clone(), style(*tone, colour));
    let line = |line: &Line| text::Line::from(line.words.iter().map(span).collect::<Vec<_>>());
    lines.iter().map(line).collect()
}

fn text_of(lines: &[Line], put: impl Fn(&mut String, &str, Tone)) -> String {
    let mut out = String::new();
    for line in lines {
        let start = out.len();
        for (word, tone) in &line.words {
            put(&mut out, word, *tone);
        }
        let end = out[start..].trim_end().len();
        out.truncate(start + end);
        out.push('\n');
    }
    out
}

/// The parameter of "select graphic rendition", ECMA-48.
const fn code(tone: Tone) -> Option<&'static str> {
    match tone {
        Tone::Plain => None,
        Tone::Dim => Some("2"),
        Tone::Strong => Some("1"),
        Tone::Good => Some("32"),
        Tone::Warn => Some("33"),
        Tone::Bad => Some("31"),
    }
}

fn style(tone: Tone, colour: bool) -> Style {
    let tinted = |tint| if colour { Style::new().fg(tint) } else { Style::new() };
    match tone {
        Tone::Plain => Style::new(),
        Tone::Dim => Style::new().add_modifier(Modifier::DIM),
        Tone::Strong => Style::new().add_modifier(Modifier::BOLD),
        Tone::Good => tinted(Color::Green),
        Tone::Warn => tinted(Color::Yellow),
        Tone::Bad => tinted(Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_has_no_control_sequences_and_no_trailing_spaces() {
        let lines = [Line::of("a", Tone::Bad).with("  ", Tone::Plain), Line::default()];
        assert_eq!(plain(&lines), "a\n\n");
        assert_eq!(coloured(&lines), "\u{1b}[31ma\u{1b}[0m\n\n");
    }
}
