//! The server's parts against real processes and real connections.

mod deployer;
mod roles;
mod webhook;
