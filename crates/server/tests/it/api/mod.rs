//! The HTTP API of a real controller, asked over real connections.

mod access;
mod client;
mod document;
mod errors;
mod proxies;
mod rollouts;
mod start;
mod streams;
mod weights;
mod world;
