//! The `sluice` binary as its users meet it.

mod transcripts;
