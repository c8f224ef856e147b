//! Numbers and moments as people read them.

use jiff::Timestamp as Moment;
use rollout::units::Timestamp;

/// `0.42 %`, `12 %`; `–` for what is not known.
pub(super) fn percent(share: Option<f64>) -> String {
    let Some(share) = share else { return "–".to_owned() };
    let percent = share * 100.0;
    let digits = match percent {
        p if p == 0.0 || p >= 10.0 => 0,
        p if p >= 1.0 => 1,
        _ => 2,
    };
    format!("{percent:.digits$} %")
}

/// `12.3 ms`; `–` for what is not known.
pub(super) fn millis(millis: Option<f64>) -> String {
    millis.map_or_else(|| "–".to_owned(), |value| format!("{value:.1} ms"))
}

/// `2026-11-20 21:05:33 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    match Moment::from_millisecond(at.0) {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => format!("{} ms since 1970", at.0),
    }
}

/// `21:05:33`.
pub(super) fn time_of_day(at: Timestamp) -> String {
    match Moment::from_millisecond(at.0) {
        Ok(moment) => moment.strftime("%H:%M:%S").to_string(),
        Err(_) => at.0.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_read_with_as_many_digits_as_they_deserve() {
        let shown: Vec<String> = [Some(0.0), Some(0.0042), Some(0.034), Some(0.5), None]
            .into_iter()
            .map(percent)
            .collect();
        assert_eq!(shown, ["0 %", "0.42 %", "3.4 %", "50 %", "–"]);
    }

    #[test]
    fn moments_are_in_utc_and_say_so() {
        assert_eq!(moment(Timestamp(1_793_221_533_000)), "2026-10-28 21:05:33 UTC");
    }
}
