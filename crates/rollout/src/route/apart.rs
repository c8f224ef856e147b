//! Who is on a side whatever the bucket, and therefore counted apart.
//!
//! What a gate compares are two random samples of one population: that is what the bucket is
//! for. Testers look for faults, and a segment is one kind of user; a canary that met the large
//! tenants would be held against a stable that does not have them. So neither is evidence, and
//! those who never meet the canary are none for stable either.

use serde::{Deserialize, Serialize};

/// Testers: a request that carries the secret is on the side it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Testers {
    /// The header that carries it. It never goes on to a version.
    pub header: String,
    /// SHA-256 of the secret, 64 lower-case hexadecimal digits. The secret itself is not told.
    /// `None` while it is not known: nobody is a tester then.
    pub digest: Option<String>,
}

/// Users who meet the canary before all others, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Segments {
    /// They meet the canary as soon as anybody does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub always: Vec<Segment>,
    /// They do not while it is one; this comes before `always`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<Segment>,
}

/// Requests that say one of these values of themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Where they say it.
    pub mark: Mark,
    /// The values, compared byte by byte.
    pub values: Vec<String>,
}

/// Where a request says something of itself. The first of that name that has a value counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// In this header.
    Header(String),
    /// In this cookie.
    Cookie(String),
}
