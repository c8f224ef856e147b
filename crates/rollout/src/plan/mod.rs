//! How a release reaches users: the plan, as written and as meant.

mod gate;
#[expect(clippy::module_inception, reason = "the file that holds Plan is called plan")]
mod plan;

pub use gate::{Gate, Metric, Test, Then};
pub use plan::{Budget, Deploy, Plan, Stage, Webhook};
