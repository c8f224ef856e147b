//! The workspace's manifests, as cargo reads them.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// One package of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// What its manifest lists, of every kind.
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of `[dependencies]` or its kin.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    /// The crate's name.
    pub(crate) name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    pub(crate) kind: Option<String>,
    /// Set when the crate is one of ours.
    pub(crate) path: Option<String>,
}

impl Dependency {
    /// Whether the product is built with it; a dev-dependency is not.
    pub(crate) fn ships(&self) -> bool {
        self.kind.as_deref() != Some("dev")
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

/// The packages of the workspace at `root`.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(&cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .map_err(|cause| format!("cannot run {cargo}: {cause}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|cause| format!("cannot read what cargo metadata printed: {cause}"))?;
    Ok(metadata.packages)
}
