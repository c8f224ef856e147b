//! Where a signing secret is: a variable or a file, never the plan.

use secrecy::SecretString;

use super::error::{Class, DeliveryError};

/// Reads the secret a reference names: `env:NAME` or `file:PATH`. Read anew for each attempt, so
/// that a rotated secret needs no restart.
pub(super) fn read(reference: &str) -> Result<SecretString, DeliveryError> {
    let missing = || DeliveryError::passing(Class::Secret(reference.to_owned()));
    let value = match reference.split_once(':') {
        Some(("env", name)) => std::env::var(name).map_err(|_| missing())?,
        Some(("file", path)) => std::fs::read_to_string(path).map_err(|_| missing())?,
        _ => return Err(DeliveryError::permanent(Class::Secret("reference".to_owned()))),
    };
    let value = value.trim();
    if value.is_empty() { Err(missing()) } else { Ok(SecretString::from(value.to_owned())) }
}
