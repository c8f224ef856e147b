//! How a release reaches users: the plan, as written and as meant.
//!
//! [`read`] goes from text to [`Plan`] in three steps: the text becomes a tree that knows
//! every place (`yaml`); the tree's shape is compared with the schema of [`PlanFile`]
//! (`shape`); its values are given their meaning and checked against each other (`run`,
//! `service`, `stages`, `gates`, `limit`). What is wrong is gathered as [`Finding`]s, all of them.

mod apart;
mod beside;
mod condition;
mod file;
mod findings;
mod gate;
mod gates;
mod limit;
mod listen;
mod metric;
mod mirror;
#[expect(clippy::module_inception, reason = "the file that holds Plan is called plan")]
mod plan;
mod quantity;
mod read;
mod render;
mod route;
mod run;
mod schema;
mod service;
mod shape;
mod shield;
mod stages;
mod value;
mod yaml;

pub use beside::at_odds;
pub use file::PlanFile;
pub use findings::{Finding, Severity};
pub use gate::{Gate, Metric, Test, Then};
pub use plan::{Budget, Deploy, MIN_BLOCKS, Plan, Stage, Testers, Webhook};
pub use read::read;
pub use render::render;
pub use schema::json_schema;
