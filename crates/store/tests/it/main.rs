//! The store through its public face.

mod contract;
mod crash;
mod damage;
mod fault;
mod handle;
mod open;
mod support;
