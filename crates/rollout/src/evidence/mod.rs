//! What the counts allow us to say.

mod counts;
mod trip;

pub use counts::{Block, Reading, TrackCounts};
pub use trip::TripSpec;
