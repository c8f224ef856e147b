//! Starts one process: the intent first, then the process, then which process it became.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Component, Path};
use std::process::{Command, Stdio};

use rustix::rand::GetRandomFlags;

use super::record::{Identity, Record};
use super::spec::{Spec, SpecError, hex};
use super::{output, procfs};
use crate::deployers::Wanted;
use crate::deployers::replicas::owner;

/// What a process gets of the controller's own environment: where things are and how text is
/// shown. The rest stays here, because it may hold the controller's secrets.
const INHERITED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// The plan's command cannot be run.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The release's id cannot name a folder.
    #[error("release `{0}` cannot name a folder; it must be a plain file name")]
    Name(String),
    /// The system refused.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl StartError {
    /// Wraps what the system said about `what`.
    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}

/// A process that was started.
#[derive(Debug)]
pub(super) struct Started {
    /// Its record, as written.
    pub(super) record: Record,
    /// Its process.
    pub(super) identity: Identity,
    /// Where its output begins in the release's file, in bytes.
    pub(super) output_from: u64,
}

/// Starts the process `unit` of `wanted` on `port`. When it fails, nothing was started and no record is left.
pub(super) fn start(
    folder: &Path,
    unit: &str,
    wanted: &Wanted,
    attempt: u32,
    port: u16,
) -> Result<Started, StartError> {
    check_name(unit)?;
    let spec = Spec::resolve(&wanted.deploy, &wanted.version, &wanted.directory, Some(port))?;
    let mut record = Record {
        release: unit.to_owned(),
        attempt,
        port,
        token: token().map_err(StartError::io("draw a token"))?,
        drain: wanted.drain,
        ready: false,
        process: None,
    };
    record.write(folder).map_err(StartError::io("write the record"))?;
    let (identity, output_from) = begin(folder, &spec, wanted, &record).or_else(|error| {
        Record::remove(folder).map_err(StartError::io("remove the record"))?;
        Err(error)
    })?;
    record.process = Some(identity.clone());
    if let Err(error) = record.write(folder) {
        // The intent is written, so the next controller finds the process by its token.
        tracing::warn!(release = unit, %error, "cannot write which process a release became");
    }
    Ok(Started { record, identity, output_from })
}

/// Starts the program and learns which process it is. When it fails, no process is left.
fn begin(
    folder: &Path,
    spec: &Spec,
    wanted: &Wanted,
    record: &Record,
) -> Result<(Identity, u64), StartError> {
    let boot = procfs::boot().map_err(StartError::io("read the machine's boot id"))?;
    let (out, output_from) =
        output::open(folder).map_err(StartError::io("open the output file"))?;
    let err = out.try_clone().map_err(StartError::io("open the output file"))?;
    let mut command = command(spec, wanted, record);
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = command.spawn().map_err(StartError::io("start the program"))?;
    let pid = child.id().cast_signed();
    let Some(stat) = procfs::stat(pid) else {
        let ended = child.kill().and_then(|()| child.wait());
        let source = ended.map_or_else(|error| error, |_| io::ErrorKind::NotFound.into());
        return Err(StartError::Io { what: "see the process that was started", source });
    };
    Ok((Identity { pid, start: stat.start, boot }, output_from))
}

/// The command in a process group of its own, so that its descendants end with it and a signal
/// to the controller's terminal does not reach it.
fn command(spec: &Spec, wanted: &Wanted, record: &Record) -> Command {
    let mut command = Command::new(&spec.program);
    if let Some((first, rest)) = spec.argv.split_first() {
        command.arg0(first).args(rest);
    }
    let inherited = INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    command.env_clear().envs(inherited).envs(&spec.env);
    command.env("PORT", record.port.to_string());
    command.env("SLUICE_VERSION", &wanted.version);
    command.env("SLUICE_RELEASE", &wanted.release);
    command.env("SLUICE_REPLICA", owner(&record.release).1);
    command.env(procfs::START, &record.token);
    command.current_dir(&spec.directory).process_group(0);
    command
}

fn check_name(release: &str) -> Result<(), StartError> {
    let mut parts = Path::new(release).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(part)), None) if part == release => Ok(()),
        _ => Err(StartError::Name(release.to_owned())),
    }
}

/// 128 random bits, as hex digits.
fn token() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    let count = rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
    // Up to 256 bytes come whole or not at all, see `getrandom(2)`.
    Ok(hex(&bytes[..count]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_must_be_a_plain_file_name() {
        for good in ["analyzer-7", "a", "v1.2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "/a", "../a", "a/"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_two_tokens_are_alike() {
        assert_eq!(token().unwrap().len(), 32);
        assert_ne!(token().unwrap(), token().unwrap());
    }
}
