//! The checker finds what is planted: a simulation that cannot fail proves nothing.

use sim::{Sabotage, run, run_sabotaged};

/// A planted bug must show within so many histories.
const SEEDS: u64 = 200;

#[test]
fn every_planted_bug_is_found_and_named() {
    let mut wrong = Vec::new();
    for (sabotage, codes) in Sabotage::ALL {
        let Some(failure) = (0..SEEDS).find_map(|seed| run_sabotaged(seed, sabotage).err()) else {
            wrong.push(format!("{sabotage:?} was not found"));
            continue;
        };
        let (seed, code) = (failure.seed, failure.violation.code);
        println!("{sabotage:?}: {code} at seed {seed}");
        if !codes.contains(&code) {
            wrong.push(format!("{sabotage:?} was taken for {}, seed {seed}", failure.violation));
        }
        run(seed).unwrap_or_else(|failure| panic!("without it: {failure}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_failure_names_its_seed_its_invariant_and_its_history() {
    let found = (0..SEEDS).find_map(|seed| run_sabotaged(seed, Sabotage::ForgottenWake).err());
    let failure = found.expect("the bug is found");
    let said = failure.to_string();
    assert!(said.starts_with(&format!("seed {} broke I18: ", failure.seed)), "{said}");
    assert!(said.contains("controller 1 leads in epoch 1"), "{said}");
    assert!(said.ends_with(&format!("SLUICE_SEED={} cargo test -p sim", failure.seed)));
}
