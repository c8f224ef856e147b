//! The repository as the checks see it: every text file, read once, and every Rust file
//! understood.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::modules;
use crate::source::Source;

/// Folders that hold nothing of ours: built or fetched.
const FOREIGN: &[&str] = &["target", "node_modules"];
/// Hidden folders that are ours; all others (version control, editors) are not.
const HIDDEN: &[&str] = &[".cargo", ".ci", ".config"];

/// Every text file of the tree, by its path relative to the root, with `/` between the parts.
pub(crate) struct Repo {
    /// Where the tree lies.
    pub(crate) root: PathBuf,
    /// The text of each file.
    pub(crate) texts: BTreeMap<String, String>,
    /// What each Rust file says.
    pub(crate) sources: BTreeMap<String, Source>,
    /// Every path, text or not, folders too: what a link may point at.
    pub(crate) paths: BTreeSet<String>,
    /// Rust files that exist for tests alone.
    test_files: BTreeSet<String>,
}

impl Repo {
    /// Reads the tree under `root`.
    pub(crate) fn load(root: &Path) -> Result<Self, String> {
        let mut repo = Self {
            root: root.to_path_buf(),
            texts: BTreeMap::new(),
            sources: BTreeMap::new(),
            paths: BTreeSet::new(),
            test_files: BTreeSet::new(),
        };
        repo.walk("")?;
        for (path, text) in repo.texts.iter().filter(|(path, _)| is_rust(path)) {
            let source = Source::parse(text).map_err(|cause| format!("{path}: {cause}"))?;
            repo.sources.insert(path.clone(), source);
        }
        repo.test_files = modules::only_for_tests(&repo.sources);
        Ok(repo)
    }

    fn walk(&mut self, folder: &str) -> Result<(), String> {
        let place = self.root.join(folder);
        let unreadable = |cause| format!("cannot read {}: {cause}", place.display());
        for entry in fs::read_dir(&place).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if entry.file_type().map_err(unreadable)?.is_dir() {
                if is_ours(&name) {
                    self.paths.insert(path.clone());
                    self.walk(&path)?;
                }
                continue;
            }
            if let Ok(text) = fs::read_to_string(entry.path()) {
                self.texts.insert(path.clone(), text);
            }
            self.paths.insert(path);
        }
        Ok(())
    }

    /// Rust files that make up the product, with what they say; tests are left out.
    pub(crate) fn product(&self) -> impl Iterator<Item = (&String, &Source)> {
        self.sources.iter().filter(|(path, _)| !self.is_test(path))
    }

    /// Whether a file is there for tests alone.
    pub(crate) fn is_test(&self, path: &str) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        parts.contains(&"tests") || parts.contains(&"benches") || self.test_files.contains(path)
    }

    /// Folders with a manifest of their own, except the root.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().filter_map(|path| path.strip_suffix("/Cargo.toml"))
    }
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

fn is_ours(name: &str) -> bool {
    !FOREIGN.contains(&name) && (!name.starts_with('.') || HIDDEN.contains(&name))
}

/// Small trees for the checks' own tests.
#[cfg(test)]
pub(crate) mod tree {
    use super::Repo;
    use std::fs;
    use std::path::Path;

    /// The repository this file belongs to.
    pub(crate) fn ours() -> Repo {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        Repo::load(home.parent().unwrap()).unwrap()
    }

    /// A tree with these files, in a temporary folder that lives as long as the first value.
    pub(crate) fn of(files: &[(&str, &str)]) -> (tempfile::TempDir, Repo) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let place = folder.path().join(path);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, text).unwrap();
        }
        let repo = Repo::load(folder.path()).unwrap();
        (folder, repo)
    }
}
