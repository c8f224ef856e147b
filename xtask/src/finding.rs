//! What a check found: where, what is wrong, and why it matters.

use std::fmt;

/// One breach of an agreement.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, relative to the root, or the package.
    pub(crate) place: String,
    /// The line, counted from 1; 0 where the whole file is meant.
    pub(crate) line: usize,
    /// What is wrong and why.
    pub(crate) message: String,
}

impl Finding {
    /// A finding on one line of a file.
    pub(crate) fn at(place: &str, line: usize, message: impl Into<String>) -> Self {
        Self { place: place.into(), line, message: message.into() }
    }

    /// A finding about a file or package as a whole.
    pub(crate) fn on(place: &str, message: impl Into<String>) -> Self {
        Self::at(place, 0, message)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// `ok`, `1 finding`, `2 findings`.
pub(crate) fn count(findings: usize) -> String {
    match findings {
        0 => "ok".into(),
        1 => "1 finding".into(),
        n => format!("{n} findings"),
    }
}
