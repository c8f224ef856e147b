//! What one Rust file says: the names it uses, its functions and its modules.
//!
//! Read from the syntax tree, so that a word in a comment or a string is not taken for a
//! call. Parts under `#[cfg(test)]` and `#[test]` are left out of everything but `modules`.

use crate::{paths, reader};

/// A name as written, `std::fs::read`, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mention {
    /// The parts of the path, generics left out; imports in braces are written out.
    pub(crate) parts: Vec<String>,
    /// The line, counted from 1.
    pub(crate) line: usize,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// The line of its `fn`, counted from 1.
    pub(crate) line: usize,
    /// From the line of `fn` to the closing brace.
    pub(crate) lines: usize,
}

/// A `mod name;` that another file fills.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// Its name.
    pub(crate) name: String,
    /// What `#[path = "..."]` says, relative to the folder of the file.
    pub(crate) path: Option<String>,
    /// Whether it exists for tests alone.
    pub(crate) test: bool,
}

/// One Rust file.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// How many lines it has.
    pub(crate) lines: usize,
    /// Every name it uses outside tests.
    pub(crate) mentions: Vec<Mention>,
    /// Its functions outside tests.
    pub(crate) functions: Vec<Function>,
    /// The lines of `async` functions, blocks and closures outside tests.
    pub(crate) asyncs: Vec<usize>,
    /// The files it declares.
    pub(crate) modules: Vec<Module>,
    /// Lines of `#[ignore]`, tests included.
    pub(crate) ignored: Vec<usize>,
}

impl Source {
    /// Reads one file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file = syn::parse_file(text)
            .map_err(|cause| format!("line {}: {cause}", cause.span().start().line))?;
        let mut source = Self { lines: text.lines().count(), ..Self::default() };
        reader::read(&file, &mut source);
        Ok(source)
    }

    /// The mentions in which the parts of `name` (`Instant::now`) stand one after the other.
    pub(crate) fn uses<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Mention> {
        self.mentions.iter().filter(move |mention| paths::contains(&mention.parts, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
//! std::fs in a comment is no use of it
use std::{fs, io::{self, Read as _}};
#[cfg(test)]
mod harness;
mod plain;

pub async fn wait() {
    let s = "std::net";
    println!("{}", std::env::args().count());
}

#[cfg(test)]
mod tests {
    #[test]
    #[ignore = "slow"]
    fn sees_the_clock() { std::time::Instant::now(); }
}
"#;

    #[test]
    fn names_are_read_from_code_alone() {
        let source = Source::parse(TEXT).unwrap();
        let lines = |name: &str| source.uses(name).map(|found| found.line).collect::<Vec<_>>();
        assert_eq!(lines("std::fs"), [3]);
        assert_eq!(lines("std::io"), [3, 3]);
        assert_eq!(lines("std::env"), [10]);
        assert_eq!(lines("std::net"), [] as [usize; 0]);
        assert_eq!(lines("Instant::now"), [] as [usize; 0]);
    }

    #[test]
    fn functions_modules_and_ignored_tests_are_found() {
        let source = Source::parse(TEXT).unwrap();
        assert_eq!(source.functions, [Function { name: "wait".into(), line: 8, lines: 4 }]);
        assert_eq!(source.asyncs, [8]);
        let modules: Vec<_> = source.modules.iter().map(|m| (m.name.as_str(), m.test)).collect();
        assert_eq!(modules, [("harness", true), ("plain", false)]);
        assert_eq!(source.ignored, [16]);
    }

    #[test]
    fn a_test_behind_a_negation_is_product() {
        let source = Source::parse("#[cfg(not(test))]\nfn kept() {}").unwrap();
        assert_eq!(source.functions.len(), 1);
    }
}
