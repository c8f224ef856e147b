//! The token: made at the first start, kept in a file only its owner may read.
//!
//! It reads `slc_admin_<id>_<secret>`: the kind, a name that may be shown, and 256 random bits.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::rand::{GetRandomFlags, getrandom};
use secrecy::SecretString;

const PREFIX: &str = "slc_admin_";
/// Random bytes of the part that may be shown.
const ID_BYTES: usize = 4;
/// Random bytes of the part that may not.
const SECRET_BYTES: usize = 32;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read or made.
    #[error("the token file {} cannot be used: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Others than its owner may read it.
    #[error(
        "the token file {} may be read by others (mode {mode:o}); allowed: 600; make it so with `chmod 600`, or remove it to get a new token",
        path.display()
    )]
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds something else.
    #[error(
        "the token file {} holds no token (allowed: one line, `slc_admin_<id>_<64 hex digits>`); remove it to get a new token",
        path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(io::Error),
}

/// The token in the file at `path`, which is made when there is none.
///
/// # Errors
/// See [`TokenError`].
pub(crate) fn open(path: &Path) -> Result<SecretString, TokenError> {
    let failed = |error| TokenError::File { path: path.to_owned(), error };
    match File::open(path) {
        Ok(file) => read(path, &file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let token =
                format!("{PREFIX}{}_{}", random_hex::<ID_BYTES>()?, random_hex::<SECRET_BYTES>()?);
            write(path, &token).map_err(failed)?;
            Ok(token.into())
        }
        Err(error) => Err(failed(error)),
    }
}

fn read(path: &Path, file: &File) -> Result<SecretString, TokenError> {
    let failed = |error| TokenError::File { path: path.to_owned(), error };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Readable { path: path.to_owned(), mode });
    }
    let text = io::read_to_string(file).map_err(failed)?;
    let token = text.trim();
    if well_formed(token) {
        Ok(token.into())
    } else {
        Err(TokenError::Malformed { path: path.to_owned() })
    }
}

/// Written beside and renamed: a crash leaves a whole token or none.
fn write(path: &Path, token: &str) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

fn well_formed(token: &str) -> bool {
    let parts = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
    parts.is_some_and(|(id, secret)| is_hex::<ID_BYTES>(id) && is_hex::<SECRET_BYTES>(secret))
}

fn is_hex<const BYTES: usize>(text: &str) -> bool {
    text.len() == BYTES * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Random bytes from the operating system, as hex.
pub(super) fn random_hex<const BYTES: usize>() -> Result<String, TokenError> {
    let mut bytes = [0; BYTES];
    // Up to 256 bytes come whole or not at all, see `getrandom(2)`.
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|error| TokenError::Random(error.into()))?;
    Ok(bytes.iter().fold(String::with_capacity(BYTES * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn it_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let made = open(&path).unwrap();
        assert!(well_formed(made.expose_secret()), "it has the form it documents");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(open(&path).unwrap().expose_secret(), made.expose_secret());
        let other = open(&folder.path().join("other")).unwrap();
        assert_ne!(other.expose_secret(), made.expose_secret());
    }

    #[test]
    fn it_is_not_shown_by_accident() {
        let folder = tempfile::tempdir().unwrap();
        let made = open(&folder.path().join("token")).unwrap();
        assert!(!format!("{made:?}").contains("slc_"));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        open(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = open(&path).unwrap_err().to_string();
        assert!(refused.contains("(mode 640); allowed: 600"), "{refused}");
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for text in ["", "secret", "slc_admin_0123abcd_short", "slc_user_0123abcd_00"] {
            write(&path, text).unwrap();
            assert!(matches!(open(&path), Err(TokenError::Malformed { .. })), "{text:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), text);
        }
    }
}
