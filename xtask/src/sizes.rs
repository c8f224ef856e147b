//! How long files and functions are.

use crate::repo::Repo;

/// A function within this many lines is short.
pub(crate) const SHORT: usize = 60;

/// The lengths in one tree, each list ascending. Tests are left out.
pub(crate) struct Sizes {
    /// Lines of each product file.
    pub(crate) files: Vec<usize>,
    /// Lines of each product function.
    pub(crate) functions: Vec<usize>,
}

impl Sizes {
    /// Measures the tree.
    pub(crate) fn of(repo: &Repo) -> Self {
        let mut files: Vec<usize> = repo.product().map(|(_, source)| source.lines).collect();
        let mut functions: Vec<usize> = repo
            .product()
            .flat_map(|(_, source)| source.functions.iter().map(|function| function.lines))
            .collect();
        files.sort_unstable();
        functions.sort_unstable();
        Self { files, functions }
    }

    /// The share of functions within [`SHORT`] lines, in percent, rounded down to a tenth.
    #[expect(clippy::cast_precision_loss, reason = "counts of functions are far below 2^53")]
    pub(crate) fn short_percent(&self) -> f64 {
        if self.functions.is_empty() {
            return 100.0;
        }
        let short = self.functions.partition_point(|&lines| lines <= SHORT);
        (short as f64 / self.functions.len() as f64 * 1_000.0).floor() / 10.0
    }
}

/// The nearest-rank percentile of an ascending list; 0 for an empty one.
pub(crate) fn percentile(ascending: &[usize], percent: usize) -> usize {
    let rank = (ascending.len() * percent).div_ceil(100);
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_members_of_the_list() {
        let list: Vec<usize> = (1..=20).collect();
        assert_eq!(percentile(&list, 50), 10);
        assert_eq!(percentile(&list, 95), 19);
        assert_eq!(percentile(&list, 100), 20);
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn the_share_of_short_functions_is_rounded_down() {
        let sizes = Sizes { files: vec![], functions: vec![1, 60, 61] };
        assert!((sizes.short_percent() - 66.6).abs() < 1e-9);
    }
}
