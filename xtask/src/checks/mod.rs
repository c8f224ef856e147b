//! One file per agreement.

pub(crate) mod clock;
mod docs;
mod examples;
mod layers;
mod lengths;
pub(crate) mod purity;
mod tests;
mod words;

use crate::finding::Finding;
use crate::repo::Repo;

/// What every check is: the tree goes in, what is wrong comes out. That it could not look is a
/// finding too.
pub(crate) type Check = fn(&Repo) -> Vec<Finding>;

/// Every check by its name, in the order they run.
const ALL: &[(&str, Check)] = &[
    ("layers", layers::check),
    ("purity", purity::check),
    ("clock", clock::check),
    ("lengths", lengths::check),
    ("tests", tests::check),
    ("examples", examples::check),
    ("words", words::check),
    ("docs", docs::check),
];

/// The checks with these names, or all when none is named.
pub(crate) fn chosen(wanted: &[String]) -> Result<Vec<(&'static str, Check)>, String> {
    if wanted.is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |name: &String| ALL.iter().find(|(known, _)| known == name).copied();
    wanted.iter().map(|name| find(name).ok_or_else(|| unknown(name))).collect()
}

fn unknown(name: &str) -> String {
    let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
    format!("there is no check `{name}`; there are {}", known.join(", "))
}

#[cfg(test)]
mod unit {
    use super::*;
    use crate::repo::tree;

    #[test]
    fn this_repository_keeps_every_agreement() {
        let repo = tree::ours();
        for (name, check) in ALL {
            assert_eq!(check(&repo), [], "{name}");
        }
    }

    #[test]
    fn an_unknown_check_is_refused_with_the_list() {
        let refusal = chosen(&["layer".into()]).unwrap_err();
        assert!(refusal.contains("layers, purity"), "{refusal}");
    }
}
