//! Finds the processes an earlier controller started.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::procfs;
use super::record::{Identity, Record};

/// A process shows no environment for an instant while it becomes its program. It is looked for
/// up to this often while any process is in that state; one may stay in it for good.
const LOOKS: u32 = 100;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Every record in the state folder, by release. A start that was cut short is settled: its
/// record now names its process, or will never have one.
///
/// # Errors
/// When a folder or record cannot be read, understood or written.
pub(super) fn find_all(dir: &Path) -> io::Result<BTreeMap<String, Record>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let folder = entry?.path();
        if !folder.is_dir() {
            continue;
        }
        if let Some(mut record) = Record::read(&folder)? {
            if record.process.is_none() {
                settle(&mut record, &folder)?;
            }
            found.insert(record.release.clone(), record);
        }
    }
    Ok(found)
}

/// Looks for the process of a start that was cut short, and writes it down.
fn settle(record: &mut Record, folder: &Path) -> io::Result<()> {
    record.process = search(&record.token)?;
    if record.process.is_some() { record.write(folder) } else { Ok(()) }
}

/// Looks for the process that was started with `token` until it is sure that there is none.
fn search(token: &str) -> io::Result<Option<Identity>> {
    for _ in 0..LOOKS {
        // Asked before looking: who is decided now is seen by the look that follows.
        let undecided = procfs::any_undecided();
        let found = leader(token)?;
        if found.is_some() || !undecided {
            return Ok(found);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(None)
}

/// The process that was started with `token`: of those that carry it, the one that leads its
/// group; the others are its descendants.
fn leader(token: &str) -> io::Result<Option<Identity>> {
    for pid in procfs::bearers(token) {
        if let Some(stat) = procfs::stat(pid)
            && stat.group == pid
            && !stat.zombie
        {
            return Ok(Some(Identity { pid, start: stat.start, boot: procfs::boot()? }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use rollout::units::Millis;

    use super::super::child;
    use super::*;

    fn intent(token: &str) -> Record {
        Record {
            release: "a-1".to_owned(),
            attempt: 0,
            port: 1,
            token: token.to_owned(),
            drain: Millis(0),
            ready: false,
            process: None,
        }
    }

    /// A process that ends with its test.
    struct Sleeper(Child);

    impl Sleeper {
        fn new(token: &str) -> Self {
            let mut command = Command::new("sleep");
            command.arg("600").env(procfs::START, token).process_group(0);
            Self(command.spawn().unwrap())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn a_start_cut_short_after_the_process_began_is_adopted_by_its_token() {
        let dir = tempfile::tempdir().unwrap();
        let child = Sleeper::new("adopt-by-token");
        intent("adopt-by-token").write(&dir.path().join("a-1")).unwrap();
        let found = find_all(dir.path()).unwrap();
        let identity = found["a-1"].process.clone().unwrap();
        assert_eq!(u32::try_from(identity.pid), Ok(child.0.id()));
        assert!(child::is_alive(&identity));
        assert_eq!(find_all(dir.path()).unwrap(), found, "it is written down");
        drop(child);
        assert!(!child::is_alive(&identity));
    }

    #[test]
    fn a_start_cut_short_before_the_process_began_has_none() {
        let dir = tempfile::tempdir().unwrap();
        intent("never-started").write(&dir.path().join("a-1")).unwrap();
        assert_eq!(find_all(dir.path()).unwrap()["a-1"].process, None);
    }

    #[test]
    fn a_process_id_used_again_or_of_another_boot_is_not_adopted() {
        let _child = Sleeper::new("used-again");
        let identity = search("used-again").unwrap().unwrap();
        assert!(child::is_alive(&identity));
        assert!(!child::is_alive(&Identity { start: identity.start - 1, ..identity.clone() }));
        assert!(!child::is_alive(&Identity { boot: "other".to_owned(), ..identity.clone() }));
        assert_eq!(child::left(&Identity { start: 1, ..identity.clone() }, "x"), Vec::<i32>::new());
        assert_eq!(child::left(&identity, "x"), [identity.pid]);
    }
}
