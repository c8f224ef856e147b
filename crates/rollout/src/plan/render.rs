//! Findings as people read them: the line, a caret, what was read, what is allowed.
//!
//! Plain ASCII in the manner of compilers, so that it survives logs and pagers. Written here
//! because a crate for it would bring more code than the rest of the plan's dependencies.

use std::ops::Range;

use super::findings::{Finding, Severity};

/// The most characters of a plan's line that are shown.
const WIDTH: usize = 100;
/// How many characters are shown before what is meant, where a line is longer than that.
const LEAD: usize = 40;

const BOLD: &str = "\u{1b}[1m";
const RED: &str = "\u{1b}[1;31m";
const YELLOW: &str = "\u{1b}[1;33m";
const BLUE: &str = "\u{1b}[34m";
const RESET: &str = "\u{1b}[0m";

/// All findings about the plan `text`, called `name`, one below the other.
///
/// Values of keys with `secret` in their name are covered with `*`, unless they are
/// references. Control characters are replaced, so that a plan cannot write to the terminal.
pub fn render(name: &str, text: &str, findings: &[Finding], colour: bool) -> String {
    let text = covered(text, findings);
    let mut lines = Vec::new();
    for finding in findings {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(report(name, &text, finding, colour));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// One finding, line by line.
fn report(name: &str, text: &str, finding: &Finding, colour: bool) -> Vec<String> {
    let paint = |style: &str, text: &str| {
        if colour { format!("{style}{text}{RESET}") } else { text.to_owned() }
    };
    let Finding { code, path, line, column, message, .. } = finding;
    let (word, style) = match finding.severity {
        Severity::Error => ("error", RED),
        Severity::Warning => ("warning", YELLOW),
    };
    let colon = if path.is_empty() { "" } else { ": " };
    let what = plain(&format!("{path}{colon}{message}"));
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let bar = paint(BLUE, "|");
    let (shown, before, meant) = excerpt(text, finding);
    let carets = paint(style, &"^".repeat(meant.max(1)));
    let mut lines = vec![
        format!(
            "{}{}",
            paint(style, &format!("{word}[{code}]")),
            paint(BOLD, &format!(": {what}"))
        ),
        format!("{margin}{} {}:{line}:{column}", paint(BLUE, "-->"), plain(name)),
        format!("{margin} {bar}"),
        format!("{} {bar} {shown}", paint(BLUE, &number)).trim_end().to_owned(),
        format!("{margin} {bar} {}{carets}", " ".repeat(before)),
    ];
    if let Some(help) = &finding.help {
        lines.push(format!("{margin} {} help: {}", paint(BLUE, "="), plain(help)));
    }
    lines
}

/// The line of a finding, how many characters stand before what is meant, and how many are
/// meant. A long line is cut around it.
fn excerpt(text: &str, finding: &Finding) -> (String, usize, usize) {
    let line = text.lines().nth(finding.line.saturating_sub(1)).unwrap_or_default();
    let line = plain(line.trim_end());
    let before = finding.column.saturating_sub(1);
    let end = finding.offset.saturating_add(finding.length);
    let meant = text.get(finding.offset..end).map_or(0, |meant| meant.chars().count());
    let length = line.chars().count();
    if length <= WIDTH {
        return (line, before, meant);
    }
    let skipped = before.saturating_sub(LEAD).min(length.saturating_sub(WIDTH));
    let window: String = line.chars().skip(skipped).take(WIDTH).collect();
    let more = length > skipped.saturating_add(WIDTH);
    let (head, tail) = (if skipped > 0 { "..." } else { "" }, if more { "..." } else { "" });
    let before = before.saturating_sub(skipped);
    let meant = meant.min(WIDTH.saturating_sub(before));
    (format!("{head}{window}{tail}"), before.saturating_add(head.len()), meant)
}

/// The text without control characters.
fn plain(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The text with every secret in it covered, byte for byte, so that places stay right.
fn covered(text: &str, findings: &[Finding]) -> String {
    let secrets = findings
        .iter()
        .filter(|finding| finding.path.ends_with(".secret"))
        .map(|finding| finding.offset..finding.offset.saturating_add(finding.length));
    let spans: Vec<_> = secrets.chain(written_secrets(text)).collect();
    let hide = |(at, c): (usize, char)| {
        let secret = !c.is_whitespace() && spans.iter().any(|span| span.contains(&at));
        if secret { "*".repeat(c.len_utf8()) } else { c.to_string() }
    };
    text.char_indices().map(hide).collect()
}

/// What follows every key with `secret` in its name to the line's end, where it is no reference.
fn written_secrets(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    text.match_indices("secret").filter_map(|(at, _)| {
        let rest = text.get(at..)?.lines().next()?;
        let (key, value) = rest.split_once(':')?;
        let word = |c: char| c.is_alphanumeric() || "_-\"' ".contains(c);
        let bare = value.trim_start().trim_start_matches(['"', '\'']);
        let reference = bare.starts_with("env:") || bare.starts_with("file:");
        let end = at.saturating_add(rest.len());
        (key.chars().all(word) && !reference).then(|| end.saturating_sub(value.len())..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_covered_and_references_are_not() {
        let text = "secret: hunter2\nsecrets: 'hünter 3'\nsecret: \"env:HOOK\"\n";
        let shown = covered(text, &[]);
        assert_eq!(
            shown,
            "secret: *******\nsecrets: ********* **\nsecret: \"env:HOOK\"\n"
                .replace("********* **", "******** **")
        );
        assert_eq!(shown.len(), text.len());
    }

    #[test]
    fn a_long_line_is_cut_around_what_is_meant() {
        let text = format!("{}x{}", "a".repeat(90), "b".repeat(200));
        let finding = Finding {
            file: "sluice.yaml".to_owned(),
            code: "some-code",
            severity: Severity::Error,
            path: String::new(),
            line: 1,
            column: 91,
            offset: 90,
            length: 1,
            message: "bell \u{7}".to_owned(),
            help: None,
        };
        let (shown, before, meant) = excerpt(&text, &finding);
        assert_eq!((shown.len(), before, meant), (106, 43, 1));
        assert_eq!(shown.chars().nth(before), Some('x'));
        assert!(!render("sluice.yaml", &text, &[finding], false).contains('\u{7}'));
    }
}
