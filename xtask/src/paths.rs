//! Names in Rust: taken apart, written out, looked for.

use proc_macro2::{TokenStream, TokenTree};
use syn::UseTree;

/// Whether the parts of `name` (`Instant::now`) stand one after the other in `parts`.
pub(crate) fn contains(parts: &[String], name: &str) -> bool {
    let wanted: Vec<&str> = name.split("::").collect();
    parts.windows(wanted.len()).any(|window| window.iter().eq(wanted.iter()))
}

/// Every name an import brings in, in full: `std::{fs, io::{self}}` gives `std::fs`, `std::io`.
pub(crate) fn written_out(tree: &UseTree) -> Vec<Vec<String>> {
    match tree {
        UseTree::Path(path) => written_out(&path.tree)
            .into_iter()
            .map(|rest| std::iter::once(path.ident.to_string()).chain(rest).collect())
            .collect(),
        UseTree::Name(name) if name.ident == "self" => vec![Vec::new()],
        UseTree::Name(name) => vec![vec![name.ident.to_string()]],
        UseTree::Rename(name) if name.ident == "self" => vec![Vec::new()],
        UseTree::Rename(name) => vec![vec![name.ident.to_string()]],
        UseTree::Group(group) => group.items.iter().flat_map(written_out).collect(),
        UseTree::Glob(_) => vec![vec!["*".into()]],
    }
}

/// Names inside a macro's arguments, where no syntax tree says what is a path.
pub(crate) fn in_tokens(tokens: TokenStream) -> Vec<(Vec<String>, usize)> {
    let mut found = Vec::new();
    let mut current: (Vec<String>, usize) = (Vec::new(), 0);
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    flush(&mut current, &mut found);
                }
                if current.0.is_empty() {
                    current.1 = ident.span().start().line;
                }
                current.0.push(ident.to_string());
                colons = 0;
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' => colons += 1,
            TokenTree::Group(group) => {
                flush(&mut current, &mut found);
                found.extend(in_tokens(group.stream()));
                colons = 0;
            }
            _ => {
                flush(&mut current, &mut found);
                colons = 0;
            }
        }
    }
    flush(&mut current, &mut found);
    found
}

fn flush(current: &mut (Vec<String>, usize), found: &mut Vec<(Vec<String>, usize)>) {
    if !current.0.is_empty() {
        found.push(std::mem::take(current));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_whole_parts_in_a_row() {
        let parts = ["std", "time", "Instant", "now"].map(String::from);
        assert!(contains(&parts, "Instant::now"));
        assert!(contains(&parts, "std"));
        assert!(!contains(&parts, "std::Instant"));
        assert!(!contains(&parts, "Inst"));
    }

    #[test]
    fn macro_arguments_are_searched_for_names() {
        let tokens: TokenStream = "a::b, f(std::fs::read(x)), y: Type".parse().unwrap();
        let found: Vec<String> =
            in_tokens(tokens).into_iter().map(|(parts, _)| parts.join("::")).collect();
        assert_eq!(found, ["a::b", "f", "std::fs::read", "x", "y", "Type"]);
    }
}
