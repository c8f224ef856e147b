//! Rollouts to draw in tests.

use rollout::evidence::{Answer, Numbers, Reason, Verdict};
use rollout::machine::{GateVerdict, TrackTotals};
use rollout::units::{Millis, Timestamp, Weight};
use server::view::{ActionView, RolloutState, RolloutView, StageView, TrackView};

/// Now, in tests.
pub(crate) const NOW: Timestamp = Timestamp(1_795_209_325_678);

/// A rollout in its second stage, with a gate that cannot tell yet.
pub(crate) fn second_stage() -> RolloutView {
    let begun = Timestamp(NOW.0 - 13_000_000);
    let second = Timestamp(NOW.0 - 5_520_000);
    let below = Reason::BelowLimit { rate: 0.001_2, limit: 0.005 };
    let few = Reason::TooFewRequests { requests: 240, needed: 300 };
    RolloutView {
        id: "analyzer-7".into(),
        service: "analyzer".into(),
        version: "2.4.1".into(),
        digest: "0".repeat(64),
        plan_hash: "1".repeat(64),
        author: "ada".into(),
        state: RolloutState::Running,
        over: false,
        begun: true,
        person_asked: false,
        created_at: begun,
        ended_at: None,
        why:
            "the stage is under way: 1h 32m of the soak of 4h; p99: 240 requests so far, 300 needed"
                .into(),
        last_move: "analyzer 2.4.1 entered stage ramp at 10%: the soak is over and its gates \
                    passed (2 of 2)"
            .into(),
        weight: Weight::percent(10),
        limit: None,
        tracks: vec![track("stable", "2.4.0", 0.9, 412.0), track("canary", "2.4.1", 0.1, 4.2)],
        stages: vec![
            stage("canary", 1, 7_200, "done", Some((begun, Some(second)))),
            stage("ramp", 10, 14_400, "current", Some((second, None))),
            stage("rollout", 100, 0, "to come", None),
            stage("bake", 100, 604_800, "to come", None),
        ],
        gates: vec![
            gate("error_rate", "below 0.5%", Answer::Pass, below),
            gate("p99", "below 200ms", Answer::Hold, few),
        ],
        actions: vec![
            action("promote", None),
            action("pause", None),
            action("resume", Some("only a paused rollout can be resumed")),
            action("rollback", None),
        ],
        notices: Vec::new(),
        seq: 5,
    }
}

/// The same rollout, taken back by a gate.
pub(crate) fn rolled_back() -> RolloutView {
    let mut view = second_stage();
    let reason = Reason::AboveLimit { rate: 0.051, limit: 0.005, stable: Some(0.002) };
    view.why = format!("2.4.0 serves everyone: error_rate below 0.5% failed, {reason}");
    view.state = RolloutState::RolledBack;
    view.over = true;
    view.ended_at = Some(NOW);
    view.weight = Weight::ZERO;
    view.stages[1].status = "failed".into();
    view.stages[1].ended_at = Some(NOW);
    view.gates = vec![gate("error_rate", "below 0.5%", Answer::Fail, reason)];
    view.tracks[1].process = "not running".into();
    view.notices = vec!["the guard shut the gate on error_rate of analyzer".into()];
    view
}

/// Rollout `id` of the service before the last dash, in `state`.
pub(crate) fn in_state(id: &str, state: RolloutState) -> RolloutView {
    use RolloutState::{CalledOff, Promoted, RolledBack, Superseded, Waiting};

    let mut view = second_stage();
    view.id = id.into();
    view.service = id.rsplit_once('-').map_or(id, |(service, _)| service).into();
    view.state = state;
    let is_one_of = |states: &[RolloutState]| states.contains(&state);
    view.begun = !is_one_of(&[Waiting, Superseded, CalledOff]);
    view.over = is_one_of(&[Promoted, RolledBack, Superseded, CalledOff]);
    view
}

fn track(name: &str, version: &str, share: f64, per_second: f64) -> TrackView {
    TrackView {
        track: name.into(),
        version: version.into(),
        release: format!("analyzer-{version}"),
        share: Some(share),
        in_force: Some(Weight::percent(if name == "stable" { 90 } else { 10 })),
        withheld: None,
        per_second,
        totals: TrackTotals {
            requests: 24_000,
            failures: 29,
            client_gone: 3,
            ..TrackTotals::default()
        },
        p50_ms: Some(12.0),
        p99_ms: Some(48.4),
        in_flight: 2,
        process: "ready on 127.0.0.1:4711 (pid 12)".into(),
    }
}

fn stage(
    name: &str,
    percent: u32,
    soak_seconds: u64,
    status: &str,
    when: Option<(Timestamp, Option<Timestamp>)>,
) -> StageView {
    StageView {
        name: name.into(),
        weight: Weight::percent(percent),
        soak: Millis::from_secs(soak_seconds),
        observed: if status == "current" { Millis::from_secs(5_520) } else { Millis::ZERO },
        status: status.into(),
        started_at: when.map(|(start, _)| start),
        ended_at: when.and_then(|(_, end)| end),
    }
}

fn gate(name: &str, reads: &str, answer: Answer, reason: Reason) -> GateVerdict {
    let numbers = Numbers {
        requests: 24_000,
        bad: 29,
        rate: Some(0.001_2),
        lower: Some(0.000_3),
        upper: Some(0.004_1),
        limit: Some(0.005),
        ..Numbers::default()
    };
    let verdict = Verdict { answer, reason, numbers };
    GateVerdict { gate: name.into(), reads: reads.into(), verdict }
}

fn action(name: &str, refused: Option<&str>) -> ActionView {
    ActionView { name: name.into(), refused: refused.map(Into::into) }
}
