//! A rollout as people see it: the log's state beside what is observed.

use rollout::machine::{
    Actor, Command, End, Input, Phase, Release, Rollout, StageRecord, State, TrackTotals, decide,
    desired, verdicts, why,
};
use rollout::plan::Stage;
use rollout::units::{Millis, Weight};

use super::core::Core;
use crate::deployers::replicas::Replicas;
use crate::view::{ActionView, RolloutView, StageView, TrackView};

impl Core {
    /// The whole of one rollout.
    pub(super) fn show(&self, rollout: &Rollout) -> RolloutView {
        RolloutView {
            id: rollout.id.to_string(),
            service: rollout.plan.service.clone(),
            version: rollout.release.version.clone(),
            digest: rollout.release.digest.clone(),
            plan_hash: rollout.plan_hash.clone(),
            author: rollout.author.clone(),
            state: rollout.into(),
            over: rollout.is_over(),
            begun: !rollout.is_waiting()
                && !matches!(
                    &rollout.state,
                    State::Ended { end: End::Superseded(_) | End::CalledOff, .. }
                ),
            person_asked: rollout.running().is_some_and(|running| running.asked),
            created_at: rollout.created_at,
            ended_at: match &rollout.state {
                State::Ended { at, .. } => Some(*at),
                _ => None,
            },
            why: self.stands_because(rollout),
            last_move: self.last_moves.get(&rollout.id).cloned().unwrap_or_default(),
            weight: rollout.weight(),
            limit: rollout.running().and_then(|running| running.limit),
            tracks: self.tracks(rollout),
            stages: stages(rollout),
            gates: verdicts(rollout),
            actions: self.actions(rollout),
            notices: self.notices.values().cloned().chain(self.next(rollout)).collect(),
            seq: rollout.seq,
        }
    }

    /// Why it stands where it stands; one that waits names what it waits for, which the rollout
    /// itself does not know.
    fn stands_because(&self, rollout: &Rollout) -> String {
        let before = self.board.service(&rollout.plan.service).and_then(|it| it.active.as_ref());
        let before = before.and_then(|id| self.rollouts.get(id));
        match (&rollout.state, before) {
            (State::Waiting { paused: None }, Some(before)) => {
                format!("it waits for {} to be over; {}", named(before), standing(before))
            }
            _ => why(rollout),
        }
    }

    /// What begins when this rollout is over.
    fn next(&self, rollout: &Rollout) -> Option<String> {
        let facts = self.board.service(&rollout.plan.service)?;
        let next = self.rollouts.get(facts.waiting.as_ref()?)?;
        let is_before = facts.active.as_ref() == Some(&rollout.id);
        let id = &next.id;
        match &next.state {
            State::Waiting { paused: Some(_) } if next.id == rollout.id || is_before => {
                Some(format!(
                    "{} does not begin by itself: `sluice resume {id}` lets it begin, `sluice rollback {id}` calls it off",
                    named(next)
                ))
            }
            _ if is_before => Some(format!("{} begins when this one is over", named(next))),
            _ => None,
        }
    }

    fn tracks(&self, rollout: &Rollout) -> Vec<TrackView> {
        let wanted = desired(rollout);
        let service = &rollout.plan.service;
        let (in_force, withheld) = self.proxies.in_force(service);
        let last = rollout.records.last();
        let mut tracks = Vec::new();
        if let Some(stable) = wanted.stable.or(rollout.stable.as_ref()) {
            let is_own = stable.id == rollout.release.id;
            let totals = last.map(|it| if is_own { &it.canary } else { &it.stable });
            let mut track =
                self.track_view("stable", service, stable, totals.cloned().unwrap_or_default());
            track.in_force = in_force.map(Weight::rest);
            tracks.push(track);
        }
        let is_stable = wanted.stable.is_some_and(|stable| stable.id == rollout.release.id);
        if !is_stable {
            let totals = last.map(|record| record.canary.clone()).unwrap_or_default();
            let mut track = self.track_view("canary", service, &rollout.release, totals);
            track.in_force = in_force;
            track.withheld = withheld;
            tracks.push(track);
        }
        share(&mut tracks);
        if self.is_past(rollout) {
            tracks.iter_mut().for_each(forget_now);
        }
        tracks
    }

    /// Whether what is observed now belongs to another rollout of the service.
    fn is_past(&self, rollout: &Rollout) -> bool {
        let Some(facts) = self.board.service(&rollout.plan.service) else { return false };
        let newest = format!("{}-{}", rollout.plan.service, facts.newest);
        rollout.is_over() && (facts.active.is_some() || rollout.id.0 != newest)
    }

    fn track_view(
        &self,
        name: &str,
        service: &str,
        release: &Release,
        totals: TrackTotals,
    ) -> TrackView {
        let millis = |quantile: f64| totals.quantile_us(quantile).map(micros_to_millis);
        let states = self.deployer.states();
        let replicas = Replicas::of(&states, &release.id, release.deploy.replicas);
        TrackView {
            track: name.to_owned(),
            version: release.version.clone(),
            release: release.id.clone(),
            share: None,
            in_force: None,
            withheld: None,
            per_second: self.rates.per_second(service, &release.id),
            p50_ms: millis(0.5),
            p99_ms: millis(0.99),
            totals,
            in_flight: self.proxies.in_flight(&release.id),
            process: replicas.reads(),
        }
    }

    /// What may be asked, found out by asking: the machine itself says what it would refuse.
    fn actions(&self, rollout: &Rollout) -> Vec<ActionView> {
        let why = String::new;
        let commands = [
            Command::Promote { stage: None, why: why() },
            Command::Pause { why: why() },
            Command::Resume,
            Command::RollBack { why: why() },
        ];
        commands
            .into_iter()
            .map(|command| {
                let name = command.name().to_owned();
                let by = Actor { who: String::new(), via: String::new() };
                let asked = decide(rollout, Input::Command(command, by), self.clock.now());
                let refused = match asked {
                    Ok(events) if events.is_empty() => Some("nothing would change".to_owned()),
                    Ok(_) => None,
                    Err(refusal) => Some(refusal.message),
                };
                ActionView { name, refused }
            })
            .collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn micros_to_millis(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

/// Leaves what the log knows, and nothing of this moment.
fn forget_now(track: &mut TrackView) {
    (track.share, track.in_force, track.withheld) = (None, None, None);
    (track.per_second, track.in_flight) = (0.0, 0);
}

/// Each track's share of the requests of the last few seconds.
fn share(tracks: &mut [TrackView]) {
    let all: f64 = tracks.iter().map(|track| track.per_second).sum();
    if all > 0.0 {
        for track in tracks {
            track.share = Some(track.per_second / all);
        }
    }
}

/// The plan's stages with what became of them.
fn stages(rollout: &Rollout) -> Vec<StageView> {
    let plan = &rollout.plan;
    let mut views: Vec<StageView> = plan
        .stages
        .iter()
        .enumerate()
        .map(|(index, stage)| stage_view(rollout, index, stage))
        .collect();
    if plan.bake > Millis::ZERO {
        views.push(bake_view(rollout));
    }
    views
}

fn stage_view(rollout: &Rollout, index: usize, stage: &Stage) -> StageView {
    let current = rollout.running().filter(|r| r.stage == index && r.phase == Phase::Stage);
    view(
        rollout,
        rollout.records.get(index),
        &stage.name,
        stage.weight,
        stage.soak,
        current.map(|r| r.observed),
    )
}

fn bake_view(rollout: &Rollout) -> StageView {
    let record = rollout.records.get(rollout.plan.stages.len());
    let current = rollout.running().filter(|running| running.phase == Phase::Bake);
    view(
        rollout,
        record,
        "bake",
        Weight::FULL,
        rollout.plan.bake,
        current.map(|running| running.observed),
    )
}

fn view(
    rollout: &Rollout,
    record: Option<&StageRecord>,
    name: &str,
    weight: Weight,
    soak: Millis,
    current: Option<Millis>,
) -> StageView {
    let last = record.is_some() && rollout.records.last() == record;
    StageView {
        name: name.to_owned(),
        weight,
        soak,
        observed: current.unwrap_or(Millis::ZERO),
        status: status(rollout, record.is_some(), last, current.is_some()).to_owned(),
        started_at: record.map(|record| record.started_at),
        ended_at: record.and_then(|record| record.ended_at),
    }
}

/// A rollout as people name it, `shop-3 (v3)`.
fn named(rollout: &Rollout) -> String {
    format!("{} ({})", rollout.id, rollout.release.version)
}

/// Where a rollout is, for those who wait for it.
fn standing(rollout: &Rollout) -> String {
    match rollout.stage_name() {
        Some(stage) => format!("that one is {} in {stage}", rollout.state_name()),
        None => format!("that one is {}", rollout.state_name()),
    }
}

fn status(rollout: &Rollout, begun: bool, last: bool, current: bool) -> &'static str {
    let back = matches!(
        rollout.state,
        State::RollingBack { .. } | State::Ended { end: End::RolledBack(_), .. }
    );
    match (begun, current) {
        (_, true) => "current",
        (true, _) if last && back => "failed",
        (true, _) => "done",
        (false, _) if rollout.is_over() => "left out",
        (false, _) => "to come",
    }
}
