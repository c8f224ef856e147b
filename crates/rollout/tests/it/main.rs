//! Everything that can be decided from facts alone, seen from outside.

mod evidence_vectors;
