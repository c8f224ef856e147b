//! The whole of a rollout, from the header to the notices.

use rollout::units::Timestamp;
use server::view::{RolloutState, RolloutView};

use super::figures::ago;
use super::line::{Line, Tone, wrapped};
use super::{gates, stages, tracks};

/// The rollout in lines of at most `width` columns.
pub(super) fn lines(view: &RolloutView, now: Timestamp, width: usize) -> Vec<Line> {
    let mut lines = vec![header(view, now)];
    lines.extend(wrapped("  why   ", &view.why, width, Tone::Plain));
    if !view.last_move.is_empty() {
        lines.extend(wrapped("  last  ", &view.last_move, width, Tone::Dim));
    }
    if let Some(limit) = view.limit {
        let text = format!("somebody holds the canary at {limit} or less");
        lines.extend(wrapped("  limit ", &text, width, Tone::Warn));
    }
    part(&mut lines, tracks::lines(&view.tracks, width));
    part(&mut lines, stages::lines(&view.stages, now));
    if !view.gates.is_empty() {
        part(&mut lines, gates::lines(&view.gates, width));
    }
    let notices = view.notices.iter().flat_map(|text| wrapped("! ", text, width, Tone::Warn));
    part(&mut lines, notices.collect());
    lines.into_iter().map(|line| line.cut(width)).collect()
}

/// Adds a part after an empty line, unless there is nothing in it.
fn part(lines: &mut Vec<Line>, part: Vec<Line>) {
    if !part.is_empty() {
        lines.push(Line::default());
        lines.extend(part);
    }
}

fn header(view: &RolloutView, now: Timestamp) -> Line {
    let when = match view.ended_at {
        Some(end) => format!(", ended {}", ago(now, end)),
        None => String::new(),
    };
    Line::of(format!("{} {}", view.service, view.version), Tone::Strong)
        .with("  ", Tone::Plain)
        .with(view.state.name(), state_tone(view.state))
        .with(
            format!(
                "  {}, asked for {} by {}{when}",
                view.id,
                ago(now, view.created_at),
                view.author
            ),
            Tone::Dim,
        )
}

/// The tone of a rollout's state.
const fn state_tone(state: RolloutState) -> Tone {
    match state {
        RolloutState::Running | RolloutState::Baking | RolloutState::Promoted => Tone::Good,
        RolloutState::RollingBack | RolloutState::RolledBack => Tone::Bad,
        RolloutState::Waiting
        | RolloutState::Deploying
        | RolloutState::Paused
        | RolloutState::Superseded
        | RolloutState::CalledOff => Tone::Warn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{paint, samples};

    #[test]
    fn a_rollout_under_way_shows_who_meets_what_and_why_it_stands_where_it_stands() {
        let shown = paint::plain(&lines(&samples::second_stage(), samples::NOW, 100));
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn eighty_columns_hold_it() {
        let lines = lines(&samples::second_stage(), samples::NOW, 80);
        assert!(lines.iter().all(|line| line.width() <= 80));
        insta::assert_snapshot!(paint::plain(&lines));
    }

    #[test]
    fn a_rollout_that_went_back_says_which_stage_failed() {
        let shown = paint::plain(&lines(&samples::rolled_back(), samples::NOW, 100));
        insta::assert_snapshot!(shown);
    }
}
