//! The server's parts against real processes and real connections.

mod api;
mod deployer;
mod engine;
mod roles;
mod shop;
mod webhook;
