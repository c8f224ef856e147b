//! The engine with logs that fail, proxies that come and go, and ports that are taken.

mod doors;
mod list;
mod log;
mod mirror;
mod outlives;
mod owed;
mod queue;
mod remote;
mod testers;
mod world;
