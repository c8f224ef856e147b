//! Why a message did not arrive, without a word of what the other side said.

use rollout::units::Millis;

/// One attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{class}")]
pub struct DeliveryError {
    /// What kind of failure it was.
    pub class: Class,
    /// How long the receiver asked to be left alone.
    pub retry_after: Option<Millis>,
    /// The receiver does not want it: trying again is of no use.
    pub permanent: bool,
}

/// What kind of failure it was. A class only: an answer's text may hold anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Class {
    /// The plan's address cannot be used.
    #[error("the address is not one that can be sent to")]
    Address,
    /// The address lies where credentials of the machine are handed out.
    #[error("the address is in a range that is never sent to")]
    Denied,
    /// The signing secret is not there.
    #[error("the secret {0} cannot be read")]
    Secret(String),
    /// No connection.
    #[error("no connection")]
    Connect,
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The answer was no HTTP, or broke off.
    #[error("the answer was broken")]
    Broken,
    /// An answer that is no success.
    #[error("answered with status {0}")]
    Status(u16),
}

impl DeliveryError {
    pub(super) const fn permanent(class: Class) -> Self {
        Self { class, retry_after: None, permanent: true }
    }

    pub(super) const fn passing(class: Class) -> Self {
        Self { class, retry_after: None, permanent: false }
    }
}
