//! Who is picked, and who is left out.

use std::sync::atomic::AtomicUsize;

use rollout::route::Protocol;

use super::*;
use crate::proxy::count::Ledger;

fn track(count: usize) -> Track {
    let upstreams = (0..count).map(|n| {
        let upstream = Upstream::new(&format!("127.0.0.1:{}", n + 1), Protocol::Http1);
        upstream.set_health(Health::Healthy);
        upstream.standing.well_since.store(0, Ordering::Relaxed);
        Arc::new(upstream)
    });
    let mut upstreams: Vec<_> = upstreams.collect();
    // As if they had been well for long.
    for upstream in &mut upstreams {
        let long_ago = Instant::now().checked_sub(RAMP).unwrap();
        Arc::get_mut(upstream).unwrap().standing.born = long_ago;
    }
    let ledger = Arc::new(Ledger::new(1));
    let (balance, turn) = (Balance::LeastRequest, AtomicUsize::new(0));
    Track { release: Arc::from("v1"), upstreams, balance, turn, ledger, limits: Vec::new() }
}

/// How often each upstream is picked in 10 000 lots.
fn shares(track: &Track) -> Vec<usize> {
    let mut shares = vec![0; track.upstreams.len()];
    for turn in 0..10_000 {
        let picked = track.pick(lot(turn), None).unwrap();
        shares[track.upstreams.iter().position(|one| one.id == picked.id).unwrap()] += 1;
    }
    shares
}

#[test]
fn idle_upstreams_share_evenly_and_a_busy_one_is_spared() {
    let track = track(3);
    let even = shares(&track);
    assert!(even.iter().all(|share| (3_000..3_700).contains(share)), "{even:?}");
    let _busy = Busy::on(&track.upstreams[0]);
    let spared = shares(&track);
    assert_eq!(spared[0], 0, "{spared:?}");
}

#[test]
fn one_that_just_became_well_begins_with_a_small_share() {
    let track = track(2);
    track.upstreams[1].standing.well();
    let shares = shares(&track);
    assert!((100..1_500).contains(&shares[1]), "{shares:?}");
}

#[test]
fn outliers_are_left_out_but_never_more_than_half() {
    let track = track(3);
    for upstream in &track.upstreams {
        for _ in 0..OUTLIER_AFTER {
            track.observe(upstream, false);
        }
    }
    let out: Vec<bool> = track.upstreams.iter().map(|one| one.standing.is_out()).collect();
    assert_eq!(out, [true, false, false]);
    assert_eq!(shares(&track)[0], 0);
}

#[test]
fn a_success_in_between_is_no_row_of_failures() {
    let track = track(2);
    for n in 0..50 {
        track.observe(&track.upstreams[0], n % 4 == 0);
    }
    assert!(!track.upstreams[0].standing.is_out());
}

#[test]
fn each_time_out_is_twice_as_long_up_to_a_limit() {
    let standing = Standing::new();
    let lengths: Vec<u64> = (0..7)
        .map(|_| {
            let before = standing.now();
            standing.leave_out();
            (standing.out_until.load(Ordering::Relaxed) - before) / 1_000_000
        })
        .collect();
    assert_eq!(lengths, [10, 20, 40, 80, 160, 320, 320]);
}

#[test]
fn the_only_upstream_is_tried_even_when_it_is_not_well_and_not_twice() {
    let track = track(1);
    let only = &track.upstreams[0];
    only.set_health(Health::Unhealthy);
    assert_eq!(track.pick(7, None).unwrap().id, only.id);
    assert!(track.pick(7, Some(only.id)).is_none());
}

#[test]
fn upstreams_that_take_turns_share_exactly_whoever_is_busy() {
    let mut track = track(4);
    track.balance = Balance::RoundRobin;
    let _busy = Busy::on(&track.upstreams[0]);
    assert_eq!(shares(&track), [2_500; 4]);
    track.upstreams[1].set_health(Health::Unhealthy);
    let shares = shares(&track);
    assert!(shares[1] == 0 && shares.iter().all(|share| [0, 3_333, 3_334].contains(share)));
    let (first, other) = (track.pick(7, None).unwrap(), track.pick(7, None).unwrap());
    assert_ne!(first.id, other.id, "whatever is drawn");
}

#[test]
fn one_that_just_became_well_is_passed_over_in_most_turns() {
    let mut track = track(3);
    track.balance = Balance::RoundRobin;
    track.upstreams[1].standing.well();
    let shares = shares(&track);
    assert!((100..1_500).contains(&shares[1]), "{shares:?}");
}
