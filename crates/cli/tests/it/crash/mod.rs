//! The real program, killed at any moment and under load.
//!
//! Controllers, proxies and versions are processes of their own here; users are an open loop of
//! requests from this one. How often a controller is killed is set with `SLUICE_KILLS`.

mod acknowledged;
mod anywhere;
mod apart;
pub(crate) mod kit;
mod replicas;
mod trouble;
mod weights;
