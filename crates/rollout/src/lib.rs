//! (the design, in prose; to be written)
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]
#![cfg_attr(
    test,
    allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)
)]

pub mod bucket;
pub mod evidence;
pub mod machine;
pub mod plan;
pub mod route;
pub mod units;
