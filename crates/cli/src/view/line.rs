//! Lines of words, each with a tone.

/// What a word is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// A word among others.
    Plain,
    /// Less important.
    Dim,
    /// A heading or a name.
    Strong,
    /// As it should be.
    Good,
    /// Not decided, or to be looked at.
    Warn,
    /// As it should not be.
    Bad,
}

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The words, spaces between them included.
    pub(crate) words: Vec<(String, Tone)>,
}

impl Line {
    /// A line of one tone.
    pub(crate) fn of(text: impl Into<String>, tone: Tone) -> Self {
        Self::default().with(text, tone)
    }

    /// The same line with words added.
    #[must_use]
    pub(crate) fn with(mut self, text: impl Into<String>, tone: Tone) -> Self {
        self.words.push((text.into(), tone));
        self
    }

    /// How many columns it takes. One a character: the words are ours, names are ASCII.
    pub(crate) fn width(&self) -> usize {
        self.words.iter().map(|(text, _)| text.chars().count()).sum()
    }

    /// The same line, cut off with `…` at `width` columns.
    #[must_use]
    pub(crate) fn cut(self, width: usize) -> Self {
        if self.width() <= width {
            return self;
        }
        let mut left = width.saturating_sub(1);
        let mut cut = Self::default();
        for (text, tone) in self.words {
            let taken: String = text.chars().take(left).collect();
            left -= taken.chars().count();
            cut = cut.with(taken, tone);
        }
        cut.with("…", Tone::Dim)
    }
}

/// `text` in lines of at most `width` columns, the first begun with `first`, the others with as
/// many spaces. A word longer than a line is left whole.
pub(crate) fn wrapped(first: &str, text: &str, width: usize, tone: Tone) -> Vec<Line> {
    let margin = first.chars().count();
    let room = width.saturating_sub(margin).max(20);
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in text.split_whitespace() {
        let longer = current.chars().count() + 1 + word.chars().count();
        if !current.is_empty() && longer > room {
            lines.push(std::mem::take(&mut current));
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    lines.push(current);
    let begun = |(index, text): (usize, String)| {
        let begin = if index == 0 { first.to_owned() } else { " ".repeat(margin) };
        Line::of(begin, Tone::Dim).with(text, tone)
    };
    lines.into_iter().enumerate().map(begun).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[Line]) -> Vec<String> {
        lines
            .iter()
            .map(|line| line.words.iter().map(|(text, _)| text.as_str()).collect())
            .collect()
    }

    #[test]
    fn long_lines_are_cut_in_characters() {
        let line = Line::of("größe ", Tone::Plain).with("abcdef", Tone::Good);
        assert_eq!(texts(&[line.clone().cut(12)]), ["größe abcdef"]);
        assert_eq!(texts(&[line.clone().cut(9)]), ["größe ab…"]);
        assert_eq!(line.cut(3).width(), 3);
    }

    #[test]
    fn sentences_wrap_at_words_with_a_margin() {
        let lines = wrapped("why  ", "one two three four five six seven", 25, Tone::Plain);
        assert_eq!(texts(&lines), ["why  one two three four", "     five six seven"]);
        assert_eq!(texts(&wrapped("x ", "", 40, Tone::Plain)), ["x "]);
    }
}
