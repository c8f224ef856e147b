//! The `sluice` binary as its users meet it.

mod crash;
mod demo;
mod transcripts;
