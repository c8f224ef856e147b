//! What `/proc` says of running processes.

use std::fs;
use std::io;

/// The variable that carries a start's token.
pub(super) const START: &str = "SLUICE_START";

/// The parts of `/proc/<pid>/stat` we ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// It has ended and waits for its parent to notice.
    pub(super) zombie: bool,
    /// Its process group.
    pub(super) group: i32,
    /// It is a thread of the kernel's own.
    pub(super) kernel: bool,
    /// When it started, in clock ticks since boot.
    pub(super) start: u64,
}

/// The bit of a process's flags that marks the kernel's own (`PF_KTHREAD`).
const KERNEL: u64 = 0x0020_0000;

/// Which boot of the machine this is.
pub(super) fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// One process; `None` when there is none of this id.
pub(super) fn stat(pid: i32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Every process with `token` in its environment, as far as we may look.
pub(super) fn bearers(token: &str) -> Vec<i32> {
    let entry = format!("{START}={token}");
    pids().filter(|pid| has_variable(*pid, entry.as_bytes())).collect()
}

/// Whether some process that leads a group shows no environment at all: it may be about to become
/// its program. That is an instant without an environment, after it lost its parent's.
pub(super) fn any_undecided() -> bool {
    let is_blank =
        |pid: i32| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| text.is_empty());
    let may_start =
        |pid: i32| stat(pid).is_some_and(|stat| stat.group == pid && !stat.zombie && !stat.kernel);
    pids().any(|pid| is_blank(pid) && may_start(pid))
}

/// Every process of `group` that has not ended.
pub(super) fn members(group: i32) -> Vec<i32> {
    let alive = |pid: &i32| stat(*pid).is_some_and(|stat| stat.group == group && !stat.zombie);
    pids().filter(alive).collect()
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn has_variable(pid: i32, entry: &[u8]) -> bool {
    // Unreadable: another user's, or just ended; not ours in either case.
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment.split(|byte| *byte == 0).any(|variable| variable == entry)
    })
}

/// `pid (name) state ppid pgrp ...`: the name may hold anything, even `)`, so fields are counted
/// from the last one. See `proc_pid_stat(5)`: state is field 3, the group 5, the flags 9, the start 22.
fn parse(line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Stat {
        zombie: matches!(field(3)?, "Z" | "X"),
        group: field(5)?.parse().ok()?,
        kernel: field(9)?.parse::<u64>().ok()? & KERNEL != 0,
        start: field(22)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) b) Z 1 40 40 0 -1 4194560 1 0 0 0 5 6 0 0 20 0 1 0 987654 0 0";
        assert_eq!(
            parse(line),
            Some(Stat { zombie: true, group: 40, kernel: false, start: 987_654 })
        );
        let kernel = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 1 0 0";
        assert!(parse(kernel).unwrap().kernel);
        assert_eq!(parse("42 (short) R 1"), None);
    }

    #[test]
    fn this_very_process_is_found() {
        let own = i32::try_from(std::process::id()).unwrap();
        let stat = stat(own).unwrap();
        assert!(!stat.zombie);
        assert!(members(stat.group).contains(&own));
        assert!(bearers("nobody has this").is_empty());
    }
}
