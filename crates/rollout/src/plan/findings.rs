//! What is wrong with a plan, where, and what would be right.

use serde::Serialize;

/// One thing found in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file's name, as it was given.
    pub file: String,
    /// Names the kind of finding; stable, in kebab-case, listed in `docs/plan.md`.
    pub code: &'static str,
    /// Whether the plan can be used all the same.
    pub severity: Severity,
    /// Where in the plan: `stages[1].gates.p99`; empty for the whole plan.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The first byte in the text.
    pub offset: usize,
    /// How many bytes are meant; they end with the line at the latest. 0 means a place.
    pub length: usize,
    /// What was read and what is allowed.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// Whether a plan can be used in spite of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The plan is refused.
    Error,
    /// The plan is taken; someone should look.
    Warning,
}

/// A stretch of the plan's text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// The first byte.
    pub(super) start: usize,
    /// How many bytes.
    pub(super) length: usize,
}

impl Span {
    /// From the start of this one to the end of `other`.
    pub(super) const fn until(self, other: Self) -> Self {
        let end = other.start.saturating_add(other.length);
        Self { start: self.start, length: end.saturating_sub(self.start) }
    }
}

/// Where a finding points: in the plan and in its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// `stages[1].gates.p99`.
    pub(super) path: &'a str,
    /// The bytes meant.
    pub(super) span: Span,
}

/// The findings about one text, gathered while it is read.
pub(super) struct Findings<'t> {
    file: &'t str,
    text: &'t str,
    found: Vec<Finding>,
}

impl<'t> Findings<'t> {
    /// None yet, about `text` of the file called `file`.
    pub(super) const fn new(file: &'t str, text: &'t str) -> Self {
        Self { file, text, found: Vec::new() }
    }

    /// True when the plan cannot be used.
    pub(super) fn refuse(&self) -> bool {
        self.found.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// All findings in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.found.sort_by_key(|finding| finding.offset);
        self.found
    }

    /// Adds what makes the plan unusable.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        place: Place<'_>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(Severity::Error, code, place, message.into(), help);
    }

    /// Adds what someone should look at.
    pub(super) fn warning(
        &mut self,
        code: &'static str,
        place: Place<'_>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        self.add(Severity::Warning, code, place, message.into(), help);
    }

    fn add(
        &mut self,
        severity: Severity,
        code: &'static str,
        place: Place<'_>,
        message: String,
        help: Option<String>,
    ) {
        let Span { start, length } = place.span;
        let (line, column) = line_and_column(self.text, start);
        let meant = self.text.get(start..start.saturating_add(length)).unwrap_or_default();
        let first_line = meant.lines().next().unwrap_or_default();
        self.found.push(Finding {
            file: self.file.to_owned(),
            code,
            severity,
            path: place.path.to_owned(),
            line,
            column,
            offset: start,
            length: first_line.trim_end().len(),
            message,
            help,
        });
    }
}

/// The line and the column, in characters, of a byte; both from 1.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or_default();
    (line, column.chars().count().saturating_add(1))
}

/// Asks `did you mean`, where one of `known` is close enough to `read` to be meant.
pub(super) fn did_you_mean<'k>(
    read: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<String> {
    let read = read.to_lowercase();
    let near = known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&read, word), word))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0))?;
    Some(format!("did you mean `{}`?", near.1))
}

/// `a, b and c`.
pub(super) fn listed<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let text = "a: 1\nbé: x\n";
        let offset = text.find('x').unwrap();
        assert_eq!(line_and_column(text, offset), (2, 5));
        assert_eq!(line_and_column(text, 0), (1, 1));
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        let known = ["error_rate", "success_rate", "p99"];
        let read = did_you_mean("eror_rate", known);
        assert_eq!(read.as_deref(), Some("did you mean `error_rate`?"));
        assert_eq!(did_you_mean("memory", known), None);
    }

    #[test]
    fn a_finding_ends_with_its_line() {
        let mut findings = Findings::new("sluice.yaml", "a:\n  b: 1  \n  c: 2\n");
        let span = Span { start: 5, length: 13 };
        let place = Place { path: "a", span };
        findings.warning("some-code", place, "x", None);
        let finding = findings.finish().remove(0);
        assert_eq!((finding.line, finding.column, finding.length), (2, 3, 4));
    }
}
