//! The `sluice` binary as its users meet it.

mod demo;
mod transcripts;
