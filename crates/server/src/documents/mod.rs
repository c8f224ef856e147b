//! Documents made from what happened.
//!
//! Each is made from the log alone, so that it says the same whenever it is made again.

mod markdown;
pub mod report;
mod time;
