//! Where a secret comes from. It is read for each attempt, so that it can be changed without a
//! restart, and never shown: errors name the reference alone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// What marks a secret whose bytes are written in base64.
const ENCODED: &str = "whsec_";

/// Fewest bytes of a secret that people send with requests: whoever may ask may guess.
const LEAST_SPOKEN: usize = 16;

/// Why there is no secret. Nothing of what was read is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The reference is neither of the two allowed.
    #[error("the secret must be given as `env:NAME` or `file:PATH`")]
    Reference,
    /// No such variable, or not text.
    #[error("the secret's variable {0} is not set")]
    Variable(String),
    /// The file cannot be read.
    #[error("the secret's file {path} cannot be read ({kind})")]
    File {
        /// The file.
        path: String,
        /// What reading it said.
        kind: std::io::ErrorKind,
    },
    /// There is nothing in it.
    #[error("the secret in {0} is empty")]
    Empty(String),
    /// It could be guessed.
    #[error(
        "the secret in {0} is shorter than {LEAST_SPOKEN} characters; whoever may send requests could guess it"
    )]
    Short(String),
    /// It is marked as base64 and is not.
    #[error("the secret in {0} begins with `whsec_` but does not go on in base64")]
    Encoding(String),
}

/// The key that `reference` leads to: the text itself, or the bytes it encodes after `whsec_`.
/// White space around it is not part of it.
///
/// # Errors
/// When there is no such variable or file, or what it holds cannot be a key.
pub async fn read(reference: &str) -> Result<SecretSlice<u8>, SecretError> {
    let text = fetch(reference).await?;
    let text = text.expose_secret().trim();
    let bytes = match text.strip_prefix(ENCODED) {
        Some(encoded) => {
            STANDARD.decode(encoded).map_err(|_| SecretError::Encoding(reference.to_owned()))?
        }
        None => text.as_bytes().to_vec(),
    };
    if bytes.is_empty() { Err(SecretError::Empty(reference.to_owned())) } else { Ok(bytes.into()) }
}

/// The SHA-256 of the text that `reference` leads to, as hexadecimal digits: enough to know who
/// sends that text. White space around it is not part of it.
///
/// # Errors
/// When there is no such variable or file, or what it holds could be guessed.
pub async fn digest(reference: &str) -> Result<String, SecretError> {
    let text = fetch(reference).await?;
    let text = text.expose_secret().trim();
    if text.len() < LEAST_SPOKEN {
        return Err(SecretError::Short(reference.to_owned()));
    }
    Ok(hex(&Sha256::digest(text.as_bytes())))
}

async fn fetch(reference: &str) -> Result<SecretString, SecretError> {
    match reference.split_once(':') {
        Some(("env", name)) => {
            std::env::var(name).map(Into::into).map_err(|_| SecretError::Variable(name.to_owned()))
        }
        Some(("file", path)) => {
            let text = tokio::fs::read_to_string(path).await;
            text.map(Into::into)
                .map_err(|error| SecretError::File { path: path.to_owned(), kind: error.kind() })
        }
        _ => Err(SecretError::Reference),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_file(text: &str) -> Result<Vec<u8>, SecretError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let key = read(&format!("file:{}", file.path().display())).await;
        key.map(|key| key.expose_secret().to_vec())
    }

    #[tokio::test]
    async fn a_secret_is_text_or_marked_base64() {
        assert_eq!(read_file("plain \n").await.unwrap(), b"plain");
        assert_eq!(read_file("whsec_AAEC\n").await.unwrap(), [0, 1, 2]);
        assert!(matches!(read_file("whsec_%").await, Err(SecretError::Encoding(_))));
        assert!(matches!(read_file(" \n").await, Err(SecretError::Empty(_))));
        assert!(matches!(read_file("whsec_").await, Err(SecretError::Empty(_))));
    }

    #[tokio::test]
    async fn who_sends_the_text_is_known_by_its_digest() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reference = format!("file:{}", file.path().display());
        std::fs::write(file.path(), "correct horse battery\n").unwrap();
        assert_eq!(
            digest(&reference).await.unwrap(),
            hex(&Sha256::digest(b"correct horse battery"))
        );
        std::fs::write(file.path(), "correct horse b\n").unwrap();
        assert_eq!(digest(&reference).await, Err(SecretError::Short(reference)));
    }

    #[tokio::test]
    async fn what_is_missing_is_named_and_a_secret_written_as_a_reference_is_not_repeated() {
        assert_eq!(
            read("env:SLUICE_NO_SUCH").await.unwrap_err().to_string(),
            "the secret's variable SLUICE_NO_SUCH is not set"
        );
        assert_eq!(
            read("file:/no/such").await.unwrap_err().to_string(),
            "the secret's file /no/such cannot be read (entity not found)"
        );
        let error = read("my-actual-secret").await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("actual"), "{error}");
    }
}
