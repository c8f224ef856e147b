//! What a process prints: a file each release, so that it survives the controller.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Above this size, in bytes, the file is moved to `out.log.1` and emptied.
const LIMIT: u64 = 16 * 1024 * 1024;
/// So much of the end is looked at for the last lines, in bytes.
const TAIL_BYTES: u64 = 4 * 1024;
/// So many last lines are quoted.
const TAIL_LINES: usize = 5;

/// Opens the release's output for a process to append to, and says how long it is already.
pub(super) fn open(folder: &Path) -> io::Result<(File, u64)> {
    let file = File::options().create(true).append(true).mode(0o600).open(path(folder))?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

/// Keeps the file within its limit. It is copied and emptied in place, because the process holds
/// it open; it appends, so it goes on at the new end. A line printed in between may be lost.
pub(super) fn cap(folder: &Path) -> io::Result<()> {
    cap_at(folder, LIMIT)
}

fn cap_at(folder: &Path, limit: u64) -> io::Result<()> {
    let path = path(folder);
    if fs::metadata(&path)?.len() <= limit {
        return Ok(());
    }
    fs::copy(&path, folder.join("out.log.1"))?;
    File::options().write(true).open(&path)?.set_len(0)
}

/// The last lines printed after the first `from` bytes, oldest first; none when unreadable.
pub(super) fn tail(folder: &Path, from: u64) -> Vec<String> {
    let bytes = read_end(&path(folder), from).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let first = lines.len().saturating_sub(TAIL_LINES);
    lines[first..].iter().map(ToString::to_string).collect()
}

fn read_end(path: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = if from > length { 0 } else { from };
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn path(folder: &Path) -> PathBuf {
    folder.join("out.log")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_last_lines_are_those_of_this_start() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(folder.path()), "before\n").unwrap();
        let (mut file, from) = open(folder.path()).unwrap();
        assert_eq!(tail(folder.path(), from), Vec::<String>::new());
        file.write_all(b"1\n2\n\n3\n4\n5\n6\nno newline").unwrap();
        assert_eq!(tail(folder.path(), from), ["3", "4", "5", "6", "no newline"]);
    }

    #[test]
    fn a_file_over_its_limit_is_moved_and_the_writer_goes_on_at_its_start() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, from) = open(folder.path()).unwrap();
        file.write_all(b"0123456789\n").unwrap();
        cap_at(folder.path(), 11).unwrap();
        assert_eq!(tail(folder.path(), from), ["0123456789"], "at its limit it stays");
        cap_at(folder.path(), 10).unwrap();
        file.write_all(b"after\n").unwrap();
        assert_eq!(fs::read(path(folder.path())).unwrap(), b"after\n");
        assert_eq!(fs::read(folder.path().join("out.log.1")).unwrap(), b"0123456789\n");
        assert_eq!(tail(folder.path(), 11), ["after"]);
    }
}
