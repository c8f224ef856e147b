//! Everything that can be decided from facts alone, seen from outside.

mod evidence_gate;
mod evidence_properties;
mod evidence_rates;
mod evidence_trip;
mod evidence_vectors;
mod life;
mod machine;
mod plan;
mod plan_mirror;
mod queue;
