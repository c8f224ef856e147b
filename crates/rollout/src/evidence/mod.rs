//! What the counts allow us to say.
//!
//! A gate never asks "is the number above the line?" but "what do the counts allow us to say,
//! however often we look?". It answers with a [`Verdict`]:
//!
//! - **Fail**: the canary breaks the gate. Said falsely with probability at most `alpha` over
//!   the whole rollout.
//! - **Pass**: it keeps the gate. Said falsely in a stage with probability at most `alpha_pass`.
//! - **Hold**: cannot tell yet.
//!
//! What fails a gate is an *e-process*: a running product that a healthy release pushes above
//! `1/alpha` with probability at most `alpha` (Ville's inequality), however often it is read. Half
//! of `below stable + d` is none: its bounds rest on requests thinned by how much blocks differ so
//! far, like a Pass. For a canary no worse than stable the e-process beside them bounds what is
//! said falsely; for one that is worse by less than `d`, only these bounds do. A gate remembers a few numbers ([`GateState`]) and no samples.
//!
//! Sources: Lindon, Sanden and Shirikian, *Rapid Regression Detection in Software Deployments
//! through Sequential Testing* (KDD 2022); Waudby-Smith and Ramdas, *Estimating means of
//! bounded random variables by betting* (2024); Howard, Ramdas, `McAuliffe` and Sekhon,
//! *Time-uniform, nonparametric, nonasymptotic confidence sequences* (2021).
//!
//! # Two speeds
//!
//! The guard in the proxy looks every few milliseconds at single requests and a limit no
//! healthy burst reaches ([`trip`]). The controller looks once a block at the gate itself; one
//! block is one observation, because failures come in bursts ([`blocks`]).
//!
//! Both keep half of their wealth as cash and put it in bit by bit, so that a release that was
//! fine for days is seen to break nearly as soon as one that never was ([`wealth`]).
//!
//! # The rules of a verdict
//!
//! **Fail** of `below m` asks for two things at the same block: the blocks say that `m` is
//! broken, and that stable, at 1.5 times its own share of bad requests, does not explain it.
//! Both are e-processes, so whichever of the two is true of a healthy release bounds what is
//! said falsely. In blocks in which stable has no traffic (at 100 %) the limit stands in for
//! it. `no worse than stable` compares blocks at 1 instead of 1.5. `below stable + d` asks for
//! that, and that the canary's lower bound lies above stable's upper bound plus `d`; the two
//! bounds share the alpha. Bounds that do not touch are more than a test of the difference
//! would need: this is conservative, and slow to see a late break. A Fail stays.
//!
//! **Pass** of `below m` averages two tests, with weights 0.1 and 0.9:
//! - the blocks, which need no assumption but some 400 of them for a limit of 1 %, three hours
//!   and more; alone they would never let a stage of two hours end;
//! - single requests ([`sequential`]), divided by the *design effect*: how much more the counts
//!   differ from block to block than independent requests would, at its upper bound where the
//!   blocks are few. This one holds as far as the dependence is what the blocks show: one block
//!   must not depend on the one before. A burst that is rarer than the stage is long is seen by
//!   nobody, and neither is a rate that changes every few minutes in a stage of a few minutes. A
//!   Pass certifies the window observed and no more.
//!
//! Pass of `no worse than stable` is one of two, each at half the rate: the canary is less than
//! 1.5 times as bad as stable ([`two_sample`], thinned likewise), or it is below stable's lower
//! bound plus 0.1 %. The second is what is left when hardly anybody fails and there is no
//! ratio to speak of. Falsely said is only a Pass for a canary that is both 1.5 times and 0.1 %
//! worse. Pass of `below stable + d`: the canary's upper bound lies below stable's lower bound
//! plus `d`.
//!
//! There is no Pass on no blocks, on no requests, on fewer than the plan's `min_requests`, on
//! fewer than three blocks with traffic, after a block nothing is known of, or when the last
//! block with traffic was itself above the limit: that is no moment to advance, whatever the
//! hours before it say. Nor while the limit is broken and only stable excuses it. A Fail needs
//! none of these.
//!
//! `above m for t` is a threshold and says so: it fails while the share has been above `m` for
//! `t` of blocks with traffic without a break, and recovers. No rate of error is claimed.
//!
//! # One budget
//!
//! See [`budget`]: trips and verdicts of all guardrails and stages share one
//! `false_rollback_rate`.

pub mod blocks;
pub mod budget;
mod counts;
mod gate;
pub mod histogram;
mod judge;
mod logs;
pub mod mirrored;
pub mod sequential;
pub mod trip;
pub mod two_sample;
mod verdict;
pub mod wealth;

pub use budget::{gate_specs, trip_rules};
pub use counts::{Apart, Block, Reading, Tally, TrackCounts};
pub use gate::{GateSpec, GateState};
pub use mirrored::Mirrored;
pub use trip::{Trip, TripNumbers, TripSpec, catastrophe_limit};
pub use verdict::{Answer, Numbers, Reason, Verdict};
