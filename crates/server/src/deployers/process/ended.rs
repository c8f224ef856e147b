//! Why a release is failing, in words.

use rollout::units::Millis;
use rustix::process::WaitStatus;

use crate::deployers::Wanted;

/// What programs print when their port is taken: the C library's words and Node's.
const PORT_TAKEN: [&str; 3] = ["address already in use", "address in use", "eaddrinuse"];

/// Why a process that ended by itself did; `status` is unknown for one that is not our child.
pub(super) fn why(status: Option<WaitStatus>, lived: Millis, lines: &[String]) -> String {
    let how = match status.map(|status| (status.exit_status(), status.terminating_signal())) {
        Some((Some(code), _)) => format!("exited with status {code}"),
        Some((None, Some(signal))) => format!("was killed by signal {signal}"),
        Some((None, None)) | None => "ended".to_owned(),
    };
    if lines.is_empty() {
        return format!("{how} after {lived}; it printed nothing");
    }
    format!("{how} after {lived}; it last printed: {}", lines.join(" | "))
}

/// Why a process that runs is failing: its health check did not answer in time.
pub(super) fn late(wanted: &Wanted, address: &str, last_error: &str) -> String {
    let (path, within) = (&wanted.health.path, wanted.deploy.ready_within);
    format!("did not answer GET {path} on {address} within {within} (last error: {last_error})")
}

/// Whether it says that somebody else listens on its port.
pub(super) fn port_was_taken(lines: &[String]) -> bool {
    let says = |line: &String| PORT_TAKEN.iter().any(|words| line.to_lowercase().contains(words));
    lines.iter().any(says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_quotes_the_last_lines() {
        let lines = ["one".to_owned(), "two".to_owned()];
        let why = why(None, Millis(1500), &lines);
        assert_eq!(why, "ended after 1.5s; it last printed: one | two");
    }

    #[test]
    fn a_taken_port_is_known_by_what_programs_print() {
        let taken = |line: &str| port_was_taken(&["starting".to_owned(), line.to_owned()]);
        assert!(taken("Error: Address already in use (os error 98)"));
        assert!(taken("Error: listen EADDRINUSE: address 127.0.0.1:80"));
        assert!(!taken("cannot open the database"));
    }
}
