//! Rows with columns that line up.

use super::line::{Line, Tone};

/// How a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// One cell.
pub(super) type Cell = (String, Tone);

/// A row of headings.
pub(super) fn head(names: &[&str]) -> Vec<Cell> {
    names.iter().map(|name| ((*name).to_owned(), Tone::Strong)).collect()
}

/// The rows as lines, cells two columns apart, each column as wide as its widest cell. Every
/// row has a cell a column.
pub(super) fn rows(sides: &[Side], rows: &[Vec<Cell>]) -> Vec<Line> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|(text, _)| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..sides.len()).map(width).collect();
    rows.iter().map(|row| line(sides, &widths, row)).collect()
}

fn line(sides: &[Side], widths: &[usize], row: &[Cell]) -> Line {
    let last = row.len().saturating_sub(1);
    let mut line = Line::default();
    for (column, ((side, width), (text, tone))) in sides.iter().zip(widths).zip(row).enumerate() {
        let pad = " ".repeat(width.saturating_sub(text.chars().count()));
        line = match side {
            Side::Right => line.with(pad, Tone::Plain).with(text, *tone),
            Side::Left => line.with(text, *tone).with(pad, Tone::Plain),
        };
        if column != last {
            line = line.with("  ", Tone::Plain);
        }
    }
    line
}

/// The branch before row `index` of `count`.
pub(super) fn branch(index: usize, count: usize) -> &'static str {
    if index + 1 == count { "└─ " } else { "├─ " }
}
