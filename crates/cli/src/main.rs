//! `sluice`: how a person talks to it.
//!
//! [`commands`] has one file per command. Those that ask a controller do it through
//! [`client`], over the same HTTP API everybody has; [`view`] is what they show on a
//! terminal; [`plane`] is a proxy as a process of its own. [`demo`] plays all of it on one
//! machine. Data goes to standard output, everything else to standard error ([`output`]); how
//! each command ends is a stable code ([`exit`]).

mod client;
mod clock;
mod commands;
mod demo;
mod exit;
mod logs;
mod manager;
mod outcome;
mod output;
mod plane;
mod signals;
mod view;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exit::end(commands::run(commands::Cli::parse()))
}
