//! `sluice`: how a person talks to it.

fn main() {}
