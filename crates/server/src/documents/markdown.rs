//! A report as Markdown: for a pull request, a wiki, or a terminal.

use std::fmt::Write as _;

use super::report::{GateReport, MirrorReport, Report, StageReport, TrackReport};
use rollout::units::Millis;

/// The report as Markdown (`CommonMark` with tables).
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    head(&mut text, report);
    stages(&mut text, report);
    decisions(&mut text, report);
    list(&mut text, "Messages that could not be delivered", &report.undelivered);
    list(&mut text, "What these figures say, and what not", &report.limits);
    text
}

/// Appends a line. Writing to a `String` cannot fail.
macro_rules! line {
    ($text:expr $(, $($part:tt)+)?) => {{
        $(let _ = write!($text, $($part)+);)?
        $text.push('\n');
    }};
}

fn head(text: &mut String, report: &Report) {
    let Report { id, service, version, state, .. } = report;
    line!(text, "# {}: {} {}, {state}", escaped(id), escaped(service), escaped(version));
    line!(text);
    line!(text, "{}.", escaped(&sentence(&report.why)));
    line!(text);
    line!(text, "| | |");
    line!(text, "|---|---|");
    let processes = match report.replicas {
        1 => String::new(),
        count => format!(", {count} processes"),
    };
    line!(text, "| Version | {}{processes}, digest `{}` |", escaped(version), report.digest);
    let before =
        report.stable.as_deref().unwrap_or("nothing: the service's first release, or not begun");
    line!(text, "| Served before | {} |", escaped(before));
    line!(text, "| Plan | hash `{}` |", report.plan_hash);
    line!(text, "| Asked for | {} by {} |", report.created_at, escaped(&report.author));
    if report.again {
        line!(text, "| Tried again | the version had been rolled back before |");
    }
    if let (Some(ended), Some(lasted)) = (&report.ended_at, report.lasted) {
        line!(text, "| Ended | {ended}, after {lasted} |");
    }
    line!(text);
}

fn stages(text: &mut String, report: &Report) {
    line!(text, "## Stages");
    line!(text);
    for stage in &report.stages {
        one_stage(text, stage);
    }
    if !report.not_reached.is_empty() {
        let names: Vec<String> = report.not_reached.iter().map(|name| escaped(name)).collect();
        line!(text, "Not begun: {}.", names.join(", "));
        line!(text);
    }
}

fn one_stage(text: &mut String, stage: &StageReport) {
    line!(text, "### {}, {}", escaped(&stage.name), stage.weight);
    line!(text);
    line!(text, "{}", times(stage));
    line!(text);
    line!(text, "| | canary | stable |");
    line!(text, "|---|---:|---:|");
    for (name, figure) in FIGURES {
        line!(text, "| {name} | {} | {} |", figure(&stage.canary), figure(&stage.stable));
    }
    for (name, figure) in APART {
        if [&stage.canary, &stage.stable].iter().any(|track| figure(track)[0] > 0) {
            let [canary, stable] = [&stage.canary, &stage.stable].map(|track| {
                let [requests, failures] = figure(track);
                format!("{requests} ({failures} errors)")
            });
            line!(text, "| {name} | {canary} | {stable} |");
        }
    }
    line!(text);
    if let Some(mirror) = &stage.mirror {
        copies(text, mirror);
    }
    if stage.gates.is_empty() {
        line!(text, "It had no gates, or ended before they were asked.");
    } else {
        line!(
            text,
            "| Gate | Verdict | Why | Bad of requests | Share | True share between | Limit | Stable |"
        );
        line!(text, "|---|---|---|---:|---:|---:|---:|---:|");
        for gate in &stage.gates {
            one_gate(text, gate);
        }
    }
    line!(text);
}

fn copies(text: &mut String, mirror: &MirrorReport) {
    let MirrorReport { sent, dropped, compared, different, .. } = mirror;
    line!(text, "Copies of requests that stable answered: {sent} sent, {dropped} dropped.");
    line!(text, "Of {compared} compared, {different} had another status.");
    line!(text);
    line!(text, "| Compared | stable | copies |");
    line!(text, "|---|---:|---:|");
    for (name, millis) in [("p50", mirror.p50_ms), ("p99", mirror.p99_ms)] {
        if let Some([stable, copy]) = millis {
            line!(text, "| {name} | {} | {} |", latency(Some(stable)), latency(Some(copy)));
        }
    }
    for [stable, copy, count] in &mirror.pairs {
        line!(text, "| Status, {count} times | {stable} | {copy} |");
    }
    line!(text);
}

fn times(stage: &StageReport) -> String {
    let mut said = match (&stage.ended_at, stage.lasted) {
        (Some(ended), Some(lasted)) => format!("{} to {ended} ({lasted})", stage.started_at),
        _ => format!("Since {}", stage.started_at),
    };
    let _ = write!(said, "; observed with traffic: {}", stage.observed);
    for (track, unknown) in [("the canary", stage.unknown), ("stable", stage.stable_unknown)] {
        if unknown > Millis::ZERO {
            let _ = write!(said, "; nothing known of {track}: {unknown}");
        }
    }
    said + "."
}

/// A row's name and what stands in it.
type Figure = (&'static str, fn(&TrackReport) -> String);

const FIGURES: [Figure; 8] = [
    ("Requests", |track| track.requests.to_string()),
    ("Errors", |track| track.errors.to_string()),
    ("Errors no client saw", |track| track.shielded.to_string()),
    ("Error rate", |track| share(track.error_rate)),
    ("Client gone first", |track| track.client_gone.to_string()),
    ("p50", |track| latency(track.p50_ms)),
    ("p99", |track| latency(track.p99_ms)),
    ("p99.9", |track| latency(track.p999_ms)),
];

/// A row's name and what is counted apart from the others in it: requests, and errors.
type ApartFigure = (&'static str, fn(&TrackReport) -> [u64; 2]);

const APART: [ApartFigure; 2] =
    [("Of testers, apart", |track| track.testers), ("Of segments, apart", |track| track.segments)];

fn one_gate(text: &mut String, found: &GateReport) {
    let GateReport { gate, reads, answer, reason, requests, bad, .. } = found;
    let between = match (found.lower, found.upper) {
        (Some(lower), Some(upper)) => format!("{} and {}", percent(lower), percent(upper)),
        _ => "-".to_owned(),
    };
    let limit = found.limit.map_or_else(|| "-".to_owned(), percent);
    let stable = found.stable_rate.map_or_else(|| "-".to_owned(), percent);
    line!(
        text,
        "| {} {} | {answer} | {} | {bad} of {requests} | {} | {between} | {limit} | {stable} |",
        escaped(gate),
        escaped(reads),
        escaped(reason),
        share(found.rate),
    );
}

fn decisions(text: &mut String, report: &Report) {
    line!(text, "## Decisions");
    line!(text);
    line!(text, "| Event | When | What |");
    line!(text, "|---:|---|---|");
    for decision in &report.decisions {
        line!(text, "| {} | {} | {} |", decision.seq, decision.at, escaped(&decision.text));
    }
    line!(text);
}

fn list(text: &mut String, title: &str, sentences: &[String]) {
    if sentences.is_empty() {
        return;
    }
    line!(text, "## {title}");
    line!(text);
    for sentence in sentences {
        line!(text, "- {}", escaped(sentence));
    }
    line!(text);
}

/// A share of requests; without any, there is none.
fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "no requests".to_owned(), percent)
}

/// `1.25%`: at most three decimals.
fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn latency(millis: Option<f64>) -> String {
    millis.map_or_else(|| "no requests".to_owned(), |millis| format!("{millis:.1} ms"))
}

/// A fragment as the beginning of a sentence.
fn sentence(fragment: &str) -> String {
    let mut letters = fragment.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// Text that people gave, as text: it starts no link, no table cell and no HTML.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '#' | '&' => safe.extend(['\\', c]),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::super::report::{examples, report};
    use super::*;

    #[test]
    fn a_rollout_that_went_back_reads_from_the_top() {
        let (rollout, history) = examples::rolled_back();
        insta::assert_snapshot!(markdown(&report(&rollout, &history)));
    }

    #[test]
    fn a_rollout_without_traffic_invents_no_figures() {
        let (rollout, history) = examples::silent();
        let text = markdown(&report(&rollout, &history));
        assert!(text.contains("| Error rate | no requests | no requests |"), "{text}");
        assert!(!text.contains("0%\u{20}|"), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_people_wrote_stays_text() {
        assert_eq!(escaped("a|b\n[x](y) <i> `c`"), "a\\|b \\[x\\](y) \\<i\\> \\`c\\`");
        assert_eq!(escaped("error_rate below 1%"), "error_rate below 1%");
    }

    #[test]
    fn shares_keep_three_decimals_and_no_zeros() {
        let shown = [0.0, 1.0, 0.0125, 0.000_01, 0.333_333].map(percent);
        assert_eq!(shown, ["0%", "100%", "1.25%", "0.001%", "33.333%"]);
    }
}
