//! The reading form of a condition, from words to its parts.
//!
//! `below 1%`, `above 99%`, `below stable + 0.5%`, `no worse than stable`, `above 10% for 5m`.
//! `<` and `>` are avoided because YAML reads a leading `>` as a folded text.

use super::findings::did_you_mean;

/// A condition, its amounts still as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition<'t> {
    /// What is compared.
    pub(super) bound: Bound<'t>,
    /// The text after `for`.
    pub(super) lasting: Option<&'t str>,
}

/// What a metric is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound<'t> {
    /// `below 1%`
    Amount(Sense, &'t str),
    /// `below stable + 0.5%`, `above stable - 0.5%`: the margin.
    Stable(Sense, &'t str),
    /// `no worse than stable`
    NoWorse,
}

/// On which side of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// Under the limit.
    Below,
    /// Over the limit.
    Above,
}

impl Sense {
    /// The word for it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Above => "above",
        }
    }

    /// The other side.
    pub(super) const fn opposite(self) -> Self {
        match self {
            Self::Below => Self::Above,
            Self::Above => Self::Below,
        }
    }
}

/// Why a text is no condition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unread {
    /// A stable code.
    pub(super) code: &'static str,
    /// What was read and what is allowed.
    pub(super) message: String,
    /// What to write instead.
    pub(super) help: Option<String>,
}

/// Takes a condition apart.
///
/// # Errors
/// It does not begin with a word that compares, or compares with what is not measured.
pub(super) fn parse(text: &str) -> Result<Condition<'_>, Unread> {
    let text = text.trim();
    if let Some(other) = text.strip_prefix("no worse than") {
        return no_worse(text, other.trim());
    }
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let sense = match first {
        "below" => Sense::Below,
        "above" => Sense::Above,
        _ => return Err(unread(text, first)),
    };
    let (amount, lasting) = match rest.split_once(" for ") {
        Some((amount, lasting)) => (amount.trim(), Some(lasting.trim())),
        None => (rest.trim(), None),
    };
    if amount.is_empty() {
        return Err(unread(text, first));
    }
    let bound = match amount.strip_prefix("stable") {
        Some(margin) => Bound::Stable(sense, stable_margin(text, sense, margin.trim())?),
        None if is_elsewhere(amount) => return Err(not_compared(text)),
        None => Bound::Amount(sense, amount),
    };
    Ok(Condition { bound, lasting })
}

fn no_worse<'t>(text: &'t str, other: &'t str) -> Result<Condition<'t>, Unread> {
    let (what, lasting) = match other.split_once(" for ") {
        Some((what, lasting)) => (what.trim(), Some(lasting.trim())),
        None => (other, None),
    };
    match what {
        "stable" => Ok(Condition { bound: Bound::NoWorse, lasting }),
        _ if is_elsewhere(what) => Err(not_compared(text)),
        _ => Err(Unread {
            code: "invalid-condition",
            message: format!("read `{text}`; allowed: `no worse than stable`"),
            help: None,
        }),
    }
}

/// The margin in `stable + 0.5%`, on the side the sense asks for.
fn stable_margin<'t>(text: &str, sense: Sense, margin: &'t str) -> Result<&'t str, Unread> {
    let sign = match sense {
        Sense::Below => '+',
        Sense::Above => '-',
    };
    margin.strip_prefix(sign).map(str::trim).filter(|margin| !margin.is_empty()).ok_or_else(|| {
        let word = sense.word();
        let message = format!(
            "read `{text}`; allowed: `{word} stable {sign} 0.5%` or `no worse than stable`"
        );
        Unread { code: "invalid-condition", message, help: None }
    })
}

/// Whether the amount names what a plan may one day compare with.
fn is_elsewhere(amount: &str) -> bool {
    ["previous", "baseline"].iter().any(|name| amount.starts_with(name))
}

fn not_compared(text: &str) -> Unread {
    Unread {
        code: "comparison-not-measured",
        message: format!("read `{text}`; this version compares with a limit or with `stable` only"),
        help: Some("write `below stable + 0.5%` or `no worse than stable`".to_owned()),
    }
}

fn unread(text: &str, first: &str) -> Unread {
    let help = match first.chars().next() {
        Some('<') => Some("did you mean `below`?".to_owned()),
        Some('>') => Some("did you mean `above`?".to_owned()),
        _ => synonym(first).or_else(|| did_you_mean(first, ["below", "above"])),
    };
    let message = format!(
        "read `{text}`; allowed: `below 1%`, `above 99%`, `below 200ms`, `below stable + 0.5%`, `no worse than stable`"
    );
    Unread { code: "invalid-condition", message, help }
}

fn synonym(word: &str) -> Option<String> {
    let meant = match word {
        "under" | "less" | "lt" | "max" | "at" => "below",
        "over" | "more" | "gt" | "min" | "greater" => "above",
        _ => return None,
    };
    Some(format!("did you mean `{meant}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_read_aloud() {
        let bound = |text| parse(text).unwrap().bound;
        assert_eq!(bound("below 1%"), Bound::Amount(Sense::Below, "1%"));
        assert_eq!(bound("above  99 %"), Bound::Amount(Sense::Above, "99 %"));
        assert_eq!(bound("below stable + 0.5%"), Bound::Stable(Sense::Below, "0.5%"));
        assert_eq!(bound("above stable-0.5%"), Bound::Stable(Sense::Above, "0.5%"));
        assert_eq!(bound("no worse than stable"), Bound::NoWorse);
    }

    #[test]
    fn for_says_how_long() {
        let condition = parse("above 10% for 1h 30m").unwrap();
        assert_eq!(condition.bound, Bound::Amount(Sense::Above, "10%"));
        assert_eq!(condition.lasting, Some("1h 30m"));
        assert_eq!(parse("no worse than stable for 5m").unwrap().lasting, Some("5m"));
    }

    #[test]
    fn other_forms_are_refused_with_a_hint() {
        let help = |text| parse(text).unwrap_err().help.unwrap();
        assert_eq!(help("< 1%"), "did you mean `below`?");
        assert_eq!(help(">99%"), "did you mean `above`?");
        assert_eq!(help("under 1%"), "did you mean `below`?");
        assert_eq!(help("bellow 1%"), "did you mean `below`?");
        for text in ["", "below", "1%", "below stable", "below stable - 1%", "no worse than ever"] {
            assert_eq!(parse(text).unwrap_err().code, "invalid-condition", "{text}");
        }
    }

    #[test]
    fn comparisons_of_another_day_are_named() {
        for text in ["below previous + 5%", "below baseline + 50%", "no worse than previous"] {
            assert_eq!(parse(text).unwrap_err().code, "comparison-not-measured", "{text}");
        }
    }
}
