//! The process deployer against real processes.

mod crash;
mod life;
pub(crate) mod world;
