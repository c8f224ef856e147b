//! The `sluice` binary as its users meet it.

mod controllers;
mod crash;
mod damage;
mod demo;
mod ground;
mod ports;
mod releases;
mod transcripts;
mod upgrades;

/// Held by every test that loads the machine and counts lost requests: two at once would
/// measure each other.
static LOAD: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
