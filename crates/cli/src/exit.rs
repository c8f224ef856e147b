//! How a command ends: stable exit codes, and the sentence that goes with a bad end.

use std::fmt::{self, Display};
use std::io;
use std::process::ExitCode;

/// The exit codes, stable across versions. `docs/cli.md` explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or healthy.
    Done = 0,
    /// Something failed that the caller did not cause.
    Failed = 1,
    /// The command line or the plan is wrong.
    Usage = 2,
    /// Understood, and not allowed now.
    Refused = 3,
    /// The rollout was rolled back, or is going back.
    RolledBack = 4,
    /// The rollout waits for a person.
    Waiting = 5,
    /// It was not over in the time given.
    TimedOut = 6,
    /// No controller answers.
    Unreachable = 7,
}

/// The table that each command's help ends with.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done, or healthy
  1  something failed
  2  the command line or the plan is wrong
  3  refused
  4  rolled back, or going back
  5  waiting for a person
  6  not over in the time given
  7  no controller answers";

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A fragment for people, and the code to leave with.
    Because(Exit, String),
    /// What reads our output has gone; there is nobody to tell.
    NobodyReads,
}

impl Failure {
    /// Something failed that the caller did not cause.
    pub(crate) fn ours(why: impl Display) -> Self {
        Self::Because(Exit::Failed, why.to_string())
    }

    /// The command line, or a file it names, is wrong.
    pub(crate) fn usage(why: impl Display) -> Self {
        Self::Because(Exit::Usage, why.to_string())
    }

    /// Output could not be written.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::NobodyReads
        } else {
            Self::ours(format!("cannot write the output: {error}"))
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Because(_, why) => f.write_str(why),
            Self::NobodyReads => f.write_str("nobody reads the output"),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Says what there is to say on standard error, and gives the code.
pub(crate) fn end(result: Result<Exit, Failure>) -> ExitCode {
    let exit = match result {
        Ok(exit) => exit,
        Err(Failure::NobodyReads) => Exit::Done,
        Err(Failure::Because(exit, why)) => {
            crate::output::note(&format!("sluice: {why}"));
            exit
        }
    };
    exit.into()
}
