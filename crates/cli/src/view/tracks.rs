//! Who meets what, as observed.

use rollout::evidence::Apart;
use server::view::TrackView;

use super::figures::{UNKNOWN, latency, per_second, percent};
use super::line::{Line, Tone, wrapped};
use super::table::{Cell, Side, branch, head, rows};

const HEAD: [&str; 7] = ["TRACKS", "SHARE", "WEIGHT", "REQ/S", "REQUESTS", "ERRORS", "P99"];
const SIDES: [Side; 7] =
    [Side::Left, Side::Right, Side::Right, Side::Right, Side::Right, Side::Right, Side::Right];

/// A line a track with its figures, and one below with its process.
pub(super) fn lines(tracks: &[TrackView], width: usize) -> Vec<Line> {
    let count = tracks.len();
    let mut table = vec![head(&HEAD)];
    table
        .extend(tracks.iter().enumerate().map(|(index, track)| cells(branch(index, count), track)));
    let mut drawn = rows(&SIDES, &table).into_iter();
    let mut lines: Vec<Line> = drawn.by_ref().take(1).collect();
    for (index, (track, line)) in tracks.iter().zip(drawn).enumerate() {
        lines.push(line);
        let margin = if index + 1 == count { "   " } else { "│  " };
        let process = format!("process {}", track.process);
        lines.extend(wrapped(margin, &process, width, process_tone(&track.process)));
        if let Some(why) = &track.withheld {
            lines.extend(wrapped(margin, &format!("withheld: {why}"), width, Tone::Warn));
        }
        let spared = track.totals.shielded;
        if spared > 0 {
            let text = format!("shielded: {spared} of its errors were answered by stable instead");
            lines.extend(wrapped(margin, &text, width, Tone::Plain));
        }
        for (who, apart) in [("testers", track.totals.testers), ("segments", track.totals.segments)]
        {
            if !apart.is_none() {
                let Apart { requests, failures } = apart;
                let text = format!("{who}: {requests} requests, {failures} failed; no evidence");
                lines.extend(wrapped(margin, &text, width, Tone::Plain));
            }
        }
        if let Some(mirrored) = &track.totals.mirrored {
            lines.extend(wrapped(margin, &format!("mirrored: {mirrored}"), width, Tone::Plain));
        }
    }
    lines
}

fn cells(branch: &str, track: &TrackView) -> Vec<Cell> {
    let in_force = track.in_force.map_or_else(|| UNKNOWN.to_owned(), |weight| weight.to_string());
    let plain = |text: String| (text, Tone::Plain);
    vec![
        plain(format!("{branch}{} {}", track.track, track.version)),
        (percent(track.share), Tone::Strong),
        (in_force, if track.withheld.is_some() { Tone::Warn } else { Tone::Plain }),
        plain(per_second(track.per_second)),
        plain(track.totals.requests.to_string()),
        plain(percent(track.totals.error_rate())),
        plain(latency(track.p99_ms)),
    ]
}

fn process_tone(process: &str) -> Tone {
    let words: Vec<&str> = process.split_whitespace().take(4).collect();
    match *words {
        ["ready", ..] => Tone::Dim,
        ["failing", ..] | ["0", "of", ..] => Tone::Bad,
        [ready, "of", all, "ready"] if ready == all => Tone::Dim,
        _ => Tone::Warn,
    }
}
