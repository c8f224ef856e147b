//! Random histories keep the invariants.

use std::collections::BTreeMap;

use sim::faults::Fault;
use sim::{Outcome, run};

/// How many histories are played unless `SLUICE_SEEDS` says otherwise.
const SEEDS: u64 = 2_000;
/// One in so many is played twice and compared.
const TWICE: u64 = 200;
/// Seeds that once broke something, with what it was.
const ONCE_FAILED: &str = include_str!("seeds.txt");

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a whole number"))
}

fn play(seed: u64) -> Outcome {
    run(seed).unwrap_or_else(|failure| panic!("{failure}"))
}

fn play_all(seeds: impl Iterator<Item = u64>) -> Vec<Outcome> {
    seeds
        .map(|seed| {
            let outcome = play(seed);
            if seed % TWICE == 0 {
                assert_eq!(outcome, play(seed), "seed {seed} is not the same twice");
            }
            Outcome { history: Vec::new(), ..outcome }
        })
        .collect()
}

fn sum<K: Ord + Copy>(
    outcomes: &[Outcome],
    of: impl Fn(&Outcome) -> &BTreeMap<K, u64>,
) -> BTreeMap<K, u64> {
    let mut sums = BTreeMap::new();
    for (key, count) in outcomes.iter().flat_map(of) {
        *sums.entry(*key).or_default() += count;
    }
    sums
}

#[test]
fn random_histories_keep_every_invariant() {
    if let Some(seed) = from_env("SLUICE_SEED") {
        println!("{}", play(seed).history.join("\n"));
        return;
    }
    let seeds = from_env("SLUICE_SEEDS").unwrap_or(SEEDS);
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(move || play_all((0..seeds).step_by(2)));
        let two = play_all((1..seeds).step_by(2));
        (one.join().expect("the other half failed, see above"), two)
    });
    let outcomes = [one, two].concat();
    let faults = sum(&outcomes, |outcome| &outcome.faults);
    let crashes = sum(&outcomes, |outcome| &outcome.crashes);
    let ends = sum(&outcomes, |outcome| &outcome.ends);
    let events: u64 = outcomes.iter().map(|outcome| outcome.events).sum();
    let lives: u64 = outcomes.iter().map(|outcome| outcome.lives).sum();
    let hours: u64 = outcomes.iter().map(|outcome| outcome.virtual_time.0).sum::<u64>() / 3_600_000;
    println!("{seeds} histories, {events} events, {lives} controllers, {hours} h of virtual time");
    println!("rollouts: {ends:?}\nfaults: {faults:?}\ncrashes: {crashes:#?}");
    if seeds >= SEEDS {
        for fault in Fault::ALL {
            assert!(faults.contains_key(&fault), "{fault} never struck");
        }
        for end in ["promoted", "rolled back", "superseded", "called off", "paused"] {
            assert!(ends.contains_key(end), "no rollout was ever {end}");
        }
    }
}

#[test]
fn seeds_that_once_failed_stay_good() {
    let seeds = ONCE_FAILED.lines().filter(|line| !line.starts_with('#'));
    let seeds: Vec<u64> = seeds
        .filter_map(|line| line.split_whitespace().next())
        .map(|seed| seed.parse().expect("a seed"))
        .collect();
    assert!(!seeds.is_empty());
    for seed in seeds {
        play(seed);
    }
}
