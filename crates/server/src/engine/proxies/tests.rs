//! What is known of proxies that come, go, and fall silent.

use super::*;

/// What a proxy has counted in all: requests to one release, in one run of it.
fn tally(proxies: &[(&str, u64, u64)]) -> Tally {
    let mut tally = Tally::default();
    for (name, instance, requests) in proxies {
        let mut counted = Counted { instance: *instance, ..Counted::default() };
        let service = counted.services.entry("shop".to_owned()).or_default();
        service.entry("shop-2".to_owned()).or_default().requests = *requests;
        tally.samples.insert((*name).to_owned(), counted);
    }
    tally
}

fn since(earlier: &Tally, now: &Tally) -> u64 {
    now.since(earlier, "shop", "shop-2").requests
}

#[test]
fn what_a_proxy_counted_before_it_was_seen_is_never_counted_again() {
    let after_a_restart_of_the_controller = tally(&[]);
    let connected = tally(&[("edge", 1, 90_000)]);
    assert_eq!(since(&after_a_restart_of_the_controller, &connected), 0);
    let unknown = connected.unknown_since(&after_a_restart_of_the_controller);
    assert_eq!(unknown.unwrap(), "proxy edge has just connected");
    let later = tally(&[("edge", 1, 90_007)]);
    assert_eq!(since(&connected, &later), 7);
    assert_eq!(later.unknown_since(&connected), None);
}

#[test]
fn what_a_proxy_counted_last_before_it_went_or_started_again_is_unknown() {
    let both = tally(&[("edge", 1, 50), ("east", 2, 10)]);
    let one = tally(&[("edge", 1, 60)]);
    assert_eq!(one.unknown_since(&both).unwrap(), "proxy east has gone");
    let restarted = tally(&[("edge", 1, 60), ("east", 3, 4)]);
    assert_eq!(restarted.unknown_since(&both).unwrap(), "proxy east has just connected");
    assert_eq!(since(&both, &restarted), 10);
}

#[test]
fn a_proxy_that_leaves_out_its_counts_is_steered_and_what_it_counts_is_unknown() {
    let mut proxies = Proxies::new(None, Clock);
    let newest = Generation { epoch: 1, seq: 1 };
    let mut tell = |counted: Option<Counted>| {
        let (observed, trips) = (Observed::default(), Vec::new());
        let name = "edge".to_owned();
        let leaving = false;
        let report = ProxyReport { name, generation: newest, counted, observed, trips, leaving };
        proxies.report(report);
        proxies.tally()
    };
    let without = tell(None);
    assert_eq!(without.unknown.unwrap(), "proxy edge has not told what it counts");
    assert_eq!(tell(Some(Counted::default())).unknown, None);
    let once = tell(None);
    assert_eq!((once.unknown, once.samples.len()), (None, 1), "what was told last stands");
}

#[test]
fn a_proxy_that_signs_off_is_counted_to_its_end_and_waited_for_no_more() {
    let mut proxies = Proxies::new(None, Clock);
    let mut tell = |name: &str, requests: u64, leaving: bool| {
        let counted = tally(&[(name, 1, requests)]).samples.remove(name);
        let (observed, trips) = (Observed::default(), Vec::new());
        let (name, generation) = (name.to_owned(), Generation { epoch: 1, seq: 1 });
        proxies.report(ProxyReport { name, generation, counted, observed, trips, leaving });
        (proxies.tally(), proxies.observed().len())
    };
    tell("east", 7, false);
    let (begun, _) = tell("edge", 10, false);
    let (ended, observed) = tell("edge", 15, true);
    assert_eq!((ended.unknown_since(&begun), since(&begun, &ended), observed), (None, 5, 1));
    let mut much_later = ended.clone();
    much_later.samples.remove("edge");
    assert_eq!(much_later.unknown_since(&ended), None, "nothing was counted after it");
    assert_eq!(much_later.unknown_since(&begun).unwrap(), "proxy edge has gone");
    let (nobody, _) = tell("east", 8, true);
    assert_eq!(nobody.unknown.unwrap(), "no proxy is connected");
}
