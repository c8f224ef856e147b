//! Numbers with their units, as a plan writes them.
//!
//! Values are whole numbers of a small unit, so that `99%` and `1%` add up to exactly 100 %.

/// The units of a length of time, largest first, with their size in microseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
];

/// 100 % in [`percentage`]'s unit, millionths of a percent.
pub(super) const WHOLE: u64 = 100_000_000;

/// Why a text is no quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A number without a unit.
    Bare,
    /// A unit that is none.
    Unit(String),
    /// A larger unit after a smaller one, or one unit twice.
    Order(String),
    /// More decimals than count, and how many do.
    Decimals(u32),
    /// Larger than can be held.
    TooLarge,
    /// Nothing of the kind.
    Shape,
}

impl Wrong {
    /// What was read, where a `wanted` was wanted.
    pub(super) fn instead_of(&self, wanted: &str) -> String {
        match self {
            Self::Bare => "a number without a unit".to_owned(),
            Self::Unit(unit) => format!("a {wanted} with the unknown unit `{unit}`"),
            Self::Order(unit) => {
                format!("a {wanted} with `{unit}` after a smaller or the same unit")
            }
            Self::Decimals(most) => format!("a {wanted} with more than {most} decimals"),
            Self::TooLarge => format!("a {wanted} larger than any plan needs"),
            Self::Shape => format!("which is no {wanted}"),
        }
    }
}

/// A length of time in microseconds: `200ms`, `1.5s`, `1h 30m`, `7d` (a day has 24 hours).
///
/// # Errors
/// A number without a unit, an unknown unit, units that do not fall, too many decimals.
pub(super) fn microseconds(text: &str) -> Result<u64, Wrong> {
    let mut rest = text.trim();
    let mut total = 0_u64;
    let mut smallest = u64::MAX;
    if rest.is_empty() {
        return Err(Wrong::Shape);
    }
    while !rest.is_empty() {
        let (number, after) = number(rest)?;
        let (unit, after) = word(after);
        let size = unit_size(unit)?;
        if size >= smallest {
            return Err(Wrong::Order(unit.to_owned()));
        }
        smallest = size;
        let part = scaled(number, size, 3)?;
        total = total.checked_add(part).ok_or(Wrong::TooLarge)?;
        rest = after.trim_start();
    }
    Ok(total)
}

/// A percentage in millionths of a percent: `1%`, `0.5 %`, `99.95%`.
///
/// # Errors
/// A number without `%`, another unit, more than six decimals.
pub(super) fn percentage(text: &str) -> Result<u64, Wrong> {
    let (number, after) = number(text.trim())?;
    match after.trim() {
        "" => Err(Wrong::Bare),
        "%" => scaled(number, 1_000_000, 6),
        unit => Err(Wrong::Unit(unit.to_owned())),
    }
}

/// The units of a size, largest first, with their size in bytes.
const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A size in bytes: `512B`, `64KiB`, `10 MiB`.
///
/// # Errors
/// A number without a unit, another unit, decimals.
pub(super) fn bytes(text: &str) -> Result<u64, Wrong> {
    let (number, after) = number(text.trim())?;
    let unit = after.trim();
    let known = SIZES.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes);
    match known {
        Some(bytes) => scaled(number, bytes, 0),
        None if unit.is_empty() => Err(Wrong::Bare),
        None => Err(Wrong::Unit(unit.to_owned())),
    }
}

/// A size as [`bytes`] reads it.
pub(super) fn size(bytes: u64) -> String {
    let whole = SIZES.iter().find(|(_, unit)| bytes.checked_rem(*unit) == Some(0));
    let (name, unit) = whole.copied().unwrap_or(("B", 1));
    format!("{}{name}", bytes.checked_div(unit).unwrap_or(bytes))
}

/// The number at the start of a text, and what follows it.
fn number(text: &str) -> Result<(&str, &str), Wrong> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, after) = text.split_at_checked(end).ok_or(Wrong::Shape)?;
    let whole = number.split('.').next().unwrap_or_default();
    if whole.is_empty() || number.ends_with('.') || number.matches('.').count() > 1 {
        return Err(Wrong::Shape);
    }
    Ok((number, after.trim_start()))
}

/// The letters at the start of a text, and what follows them.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn unit_size(unit: &str) -> Result<u64, Wrong> {
    if unit.is_empty() {
        return Err(Wrong::Bare);
    }
    UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, size)| *size)
        .ok_or_else(|| Wrong::Unit(unit.to_owned()))
}

/// `number` times `size`, exactly, where `size` is a multiple of 10^`most`.
fn scaled(number: &str, size: u64, most: u32) -> Result<u64, Wrong> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let places = u32::try_from(decimals.len()).unwrap_or(u32::MAX);
    if places > most {
        return Err(Wrong::Decimals(most));
    }
    let step = size.checked_div(10_u64.saturating_pow(places)).unwrap_or(0);
    let digits = format!("{whole}{decimals}");
    let digits: u64 = digits.parse().map_err(|_| Wrong::TooLarge)?;
    digits.checked_mul(step).ok_or(Wrong::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::{Millis, Weight};

    #[test]
    fn lengths_of_time_read_as_people_write_them() {
        let read =
            ["30s", "5m", "2h", "7d", "1h 30m", "1h30m", "200ms", "1.5s", "0.5ms", "0s", "2 h"];
        let read: Vec<_> = read.into_iter().map(|text| microseconds(text).unwrap()).collect();
        let expected = [30_000_000, 300_000_000, 7_200_000_000, 604_800_000_000, 5_400_000_000];
        assert_eq!(read[..5], expected);
        assert_eq!(read[5..], [5_400_000_000, 200_000, 1_500_000, 500, 0, 7_200_000_000]);
    }

    #[test]
    fn what_is_wrong_with_a_length_of_time_is_named() {
        let wrong = |text| microseconds(text).unwrap_err();
        assert_eq!(wrong("200"), Wrong::Bare);
        assert_eq!(wrong("1h 30"), Wrong::Bare);
        assert_eq!(wrong("5 min"), Wrong::Unit("min".into()));
        assert_eq!(wrong("30m 1h"), Wrong::Order("h".into()));
        assert_eq!(wrong("1s 2s"), Wrong::Order("s".into()));
        assert_eq!(wrong("0.0001ms"), Wrong::Decimals(3));
        assert_eq!(wrong("999999999999999d"), Wrong::TooLarge);
        for text in ["", "soon", "-5s", "1.s", ".5s", "1.2.3s"] {
            assert_eq!(wrong(text), Wrong::Shape, "{text}");
        }
    }

    #[test]
    fn percentages_are_exact() {
        assert_eq!(percentage("99%"), Ok(99_000_000));
        assert_eq!(percentage("0.1 %"), Ok(100_000));
        assert_eq!(percentage("0.000001%"), Ok(1));
        assert_eq!(percentage("0.0000001%"), Err(Wrong::Decimals(6)));
        assert_eq!(percentage("0.01"), Err(Wrong::Bare));
        assert_eq!(percentage("5ms"), Err(Wrong::Unit("ms".into())));
    }

    proptest! {
        #[test]
        fn a_length_shown_in_two_units_reads_as_itself(days in 0_u64..400, rest in 0_u64..24, small in 1_u64..60_000) {
            for millis in [days * 86_400_000 + rest * 3_600_000, small] {
                let length = Millis(millis);
                prop_assert_eq!(microseconds(&length.to_string()), Ok(millis * 1_000));
            }
        }

        #[test]
        fn a_weight_shown_reads_as_itself(steps in 0_u32..=100_000) {
            let weight = Weight::from_steps(steps).unwrap();
            prop_assert_eq!(percentage(&weight.to_string()), Ok(u64::from(steps) * 1_000));
        }

        #[test]
        fn no_text_makes_a_quantity_panic(text in "[-0-9. a-zµ%]{0,24}|.*") {
            let _ = (microseconds(&text), percentage(&text));
        }
    }
}
