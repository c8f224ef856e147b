//! The `sluice` binary as its users meet it.

mod controllers;
mod crash;
mod demo;
mod ground;
mod releases;
mod transcripts;
