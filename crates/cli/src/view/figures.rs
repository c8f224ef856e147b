//! Numbers as people read them. What is not known is a dash, never a zero.

use rollout::units::{Millis, Timestamp};

/// What stands for a number that is not known.
pub(super) const UNKNOWN: &str = "-";

/// A share 0..=1 as a percentage with three figures that matter: `1.25%`, `0.031%`, `98.8%`.
pub(super) fn percent(share: Option<f64>) -> String {
    let Some(share) = share else { return UNKNOWN.to_owned() };
    let percent = share * 100.0;
    let decimals = match percent.abs() {
        p if p >= 10.0 => 1,
        p if p >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{percent:.decimals$}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Requests a second: `0.4`, `12`, `1830`.
pub(super) fn per_second(rate: f64) -> String {
    if rate <= 0.0 || rate >= 10.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

/// A latency in milliseconds: `4.2ms`, `180ms`, `2.50s`.
pub(super) fn latency(millis: Option<f64>) -> String {
    match millis {
        None => UNKNOWN.to_owned(),
        Some(millis) if millis >= 1_000.0 => format!("{:.2}s", millis / 1_000.0),
        Some(millis) if millis >= 10.0 => format!("{millis:.0}ms"),
        Some(millis) => format!("{millis:.1}ms"),
    }
}

/// A length of time to the second, two units at most: `1h 30m`, `12s`.
pub(crate) fn length(millis: Millis) -> String {
    let whole = if millis.0 < 1_000 { millis } else { Millis(millis.0 / 1_000 * 1_000) };
    whole.to_string()
}

/// How long ago: `12m ago`, `now`.
pub(super) fn ago(now: Timestamp, then: Timestamp) -> String {
    let since = now.since(then);
    if since.0 < 1_000 { "now".to_owned() } else { format!("{} ago", length(since)) }
}

/// A bar of `cells` cells, filled as far as `done` of `whole` goes; a whole of zero is full.
pub(super) fn bar(done: Millis, whole: Millis, cells: usize) -> String {
    let filled = if whole.0 == 0 {
        cells
    } else {
        let share = u128::from(done.0) * cells as u128 / u128::from(whole.0);
        usize::try_from(share).unwrap_or(cells).min(cells)
    };
    format!("{}{}", "█".repeat(filled), "░".repeat(cells - filled))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_the_figures_that_matter() {
        let shown = [0.0, 0.000_31, 0.0125, 0.1, 0.988_4, 1.0].map(|share| percent(Some(share)));
        assert_eq!(shown, ["0%", "0.031%", "1.25%", "10%", "98.8%", "100%"]);
        assert_eq!(percent(None), "-");
    }

    #[test]
    fn rates_and_latencies_are_short() {
        assert_eq!([0.0, 0.44, 12.4, 1830.2].map(per_second), ["0", "0.4", "12", "1830"]);
        let shown = [Some(4.24), Some(180.4), Some(2_500.0), None].map(latency);
        assert_eq!(shown, ["4.2ms", "180ms", "2.50s", "-"]);
    }

    #[test]
    fn lengths_drop_what_is_under_a_second() {
        let shown = [350, 12_750, 5_400_999].map(|millis| length(Millis(millis)));
        assert_eq!(shown, ["350ms", "12s", "1h 30m"]);
        assert_eq!(ago(Timestamp(500), Timestamp(0)), "now");
        assert_eq!(ago(Timestamp(0), Timestamp(90_000)), "now");
        assert_eq!(ago(Timestamp(61_000), Timestamp(0)), "1m 1s ago");
    }

    #[test]
    fn a_bar_fills_and_never_overflows() {
        let shown = [0, 5, 10, 99].map(|done| bar(Millis(done), Millis(10), 4));
        assert_eq!(shown, ["░░░░", "██░░", "████", "████"]);
        assert_eq!(bar(Millis(0), Millis(0), 2), "██");
    }
}
