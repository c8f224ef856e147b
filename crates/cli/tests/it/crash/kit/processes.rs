//! What runs on this machine, as the system says.

use std::collections::{BTreeMap, BTreeSet};

/// The processes of a service's releases, by release. A process is of a release when it was
/// started with its name and a token.
pub(crate) fn running(service: &str) -> BTreeMap<String, BTreeSet<i32>> {
    let mut found: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that has ended has no environment any more, or is gone.
        let Ok(environment) = std::fs::read(process.path().join("environ")) else { continue };
        if let Some(release) = release(&environment, service) {
            found.entry(release).or_default().insert(pid);
        }
    }
    found
}

fn release(environment: &[u8], service: &str) -> Option<String> {
    let text = String::from_utf8_lossy(environment);
    let value = |name: &str| text.split('\0').find_map(|entry| entry.strip_prefix(name));
    value("SLUICE_START=")?;
    let release = value("SLUICE_RELEASE=")?;
    release.strip_prefix(service)?.starts_with('-').then(|| release.to_owned())
}
