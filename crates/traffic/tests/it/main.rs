//! The proxy against real servers and real clients on the loopback interface.

mod kit;

mod bodies;
mod guarding;
mod heads;
mod snapshots;
mod splitting;
