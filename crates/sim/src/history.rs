//! One history, from its seed to its end: trouble first, then none, then rest.

use rollout::machine::{Request, Rollout, RolloutId};
use rollout::units::Millis;
use store::log::{Log as _, Reader};
use store::memory::MemoryLog;

use crate::check::Checker;
use crate::driver::{Controller, LEASE};
use crate::env::{Env, Stop};
use crate::faults::{Fault, Faults};
use crate::invariants::{Violation, ensure};
use crate::scenario::{self, Scenario};
use crate::seed::Rng;
use crate::world::World;
use crate::{Failure, Outcome, Sabotage};

/// What every rollout may take beyond its plan once nothing goes wrong any more.
const GRACE: Millis = Millis::from_secs(600);
/// How long a step takes while nothing goes wrong.
const CALM_STEP: Millis = Millis::from_secs(5);

/// A history under way.
struct History {
    rng: Rng,
    scenario: Scenario,
    env: Env,
    database: MemoryLog,
    reader: Box<dyn Reader>,
    controller: Option<Controller>,
    /// When the next controller starts, while there is none.
    restart_at: Millis,
    lives: u64,
    versions: u64,
    checker: Checker,
}

/// Plays the history of `seed`, with a bug planted if one is given.
pub(crate) fn play(seed: u64, sabotage: Option<Sabotage>) -> Result<Outcome, Failure> {
    let mut history = History::new(seed, sabotage);
    match history.run() {
        Ok(()) => Ok(history.outcome(seed)),
        Err(violation) => Err(Failure { seed, violation, history: history.env.history().to_vec() }),
    }
}

impl History {
    fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::draw(&mut rng);
        let mut world = World::new(rng.fork(), scenario.rps);
        world.proxy.takes_old = sabotage == Some(Sabotage::OldSnapshotTaken);
        let faults = Faults::new(rng.fork(), scenario.intensity);
        let database = MemoryLog::new();
        database.set_fenced(sabotage != Some(Sabotage::Unfenced));
        Self {
            env: Env::new(world, faults, sabotage),
            reader: database.reader(),
            database,
            controller: None,
            restart_at: Millis::ZERO,
            lives: 0,
            versions: 0,
            checker: Checker::default(),
            scenario,
            rng,
        }
    }

    fn run(&mut self) -> Result<(), Violation> {
        for _ in 0..self.scenario.steps {
            let length = Millis(self.rng.between(100, 12_000));
            self.trouble()?;
            self.step(length, true)?;
        }
        self.env.note("nothing goes wrong from here on");
        self.env.faults.stop();
        self.env.world.heal();
        self.come_to_rest()
    }

    fn come_to_rest(&mut self) -> Result<(), Violation> {
        let allowed = self.time_left();
        let since = self.env.world.elapsed;
        // Late pushes may still arrive for a minute.
        let settled = since.plus(Millis::from_secs(120));
        while self.env.world.elapsed < settled || !self.checker.at_rest(&*self.reader) {
            let spent = self.env.world.elapsed.minus(since);
            ensure(spent < allowed, "liveness", || format!("no rest after {spent} of {allowed}"))?;
            self.step(CALM_STEP, false)?;
        }
        self.checker.rest(&self.env, &*self.reader)
    }

    /// What all rollouts together may still take: plan time and a grace for each.
    fn time_left(&self) -> Millis {
        let plan = &self.scenario.plan;
        let phases = plan.stages.iter().map(|stage| stage.soak).chain([plan.bake]);
        let one = phases
            .map(|soak| soak.plus(plan.hold_limit).plus(plan.block()))
            .fold(plan.deploy.ready_within.times(2), Millis::plus);
        let unfinished = self.checker.rollouts().values().filter(|it| !it.is_over()).count();
        one.plus(GRACE).times(unfinished as u64 + 1)
    }

    /// A step of time, of people and of the controller.
    fn step(&mut self, length: Millis, people: bool) -> Result<(), Violation> {
        self.env.world.pass(length);
        self.start()?;
        if people && self.rng.chance(self.scenario.busy) {
            let done = self.somebody_acts();
            self.survive(done)?;
        }
        if let Some(mut controller) = self.controller.take() {
            let done = controller.step(&mut self.env);
            self.controller = Some(controller);
            self.survive(done)?;
        }
        self.check()
    }

    fn check(&mut self) -> Result<(), Violation> {
        let live = self.controller.as_mut().map(Controller::take_live).unwrap_or_default();
        self.checker.check(&self.env, &*self.reader, &live, self.controller.as_ref())
    }

    /// A controller that has stopped is gone, with all it held in memory.
    fn survive(&mut self, done: Result<(), Stop>) -> Result<(), Violation> {
        let Err(_) = done else { return Ok(()) };
        if let Some(mut gone) = self.controller.take() {
            self.checker.check(&self.env, &*self.reader, &gone.take_live(), None)?;
        }
        self.restart_at = self.env.world.elapsed.plus(Millis(self.rng.between(0, 30_000)));
        Ok(())
    }

    fn start(&mut self) -> Result<(), Violation> {
        if self.controller.is_some() || self.env.world.elapsed < self.restart_at {
            return Ok(());
        }
        self.lives += 1;
        let name = format!("controller {}", self.lives);
        match Controller::start(&mut self.env, self.database.connect(), &name) {
            Ok(controller) => {
                self.controller = Some(controller);
                Ok(())
            }
            Err(stop) => self.survive(Err(stop)),
        }
    }

    /// What goes wrong around the controller.
    fn trouble(&mut self) -> Result<(), Violation> {
        let Env { world, faults, .. } = &mut self.env;
        if let Some(fault) = world.jump(faults) {
            self.env.note(format!("fault: {fault}"));
        }
        if self.controller.is_some() && self.env.strikes(Fault::Overtaken) {
            return self.overtake();
        }
        Ok(())
    }

    /// The controller freezes for longer than its lease, another takes over, and then the
    /// first one wakes and goes on as if nothing had happened.
    fn overtake(&mut self) -> Result<(), Violation> {
        let Some(mut frozen) = self.controller.take() else { return Ok(()) };
        self.env.world.pass(LEASE.times(2));
        self.start()?;
        let Some(mut newer) = self.controller.take() else {
            self.controller = Some(frozen);
            return Ok(());
        };
        let done = newer.step(&mut self.env);
        self.controller = Some(newer);
        self.survive(done)?;
        let before = self.reader.tail().map(|tail| tail.position);
        let woken = frozen.step(&mut self.env);
        let after = self.reader.tail().map(|tail| tail.position);
        self.checker.check(&self.env, &*self.reader, &frozen.take_live(), None)?;
        ensure(woken.is_err() && before == after, "I9", || {
            "an overtaken controller went on".to_owned()
        })?;
        self.check()
    }

    fn somebody_acts(&mut self) -> Result<(), Stop> {
        let Some(mut controller) = self.controller.take() else { return Ok(()) };
        let done = if controller.rollouts().is_empty() || self.rng.chance(0.3) {
            self.release(&mut controller)
        } else {
            self.command(&mut controller)
        };
        self.controller = Some(controller);
        done
    }

    fn release(&mut self, controller: &mut Controller) -> Result<(), Stop> {
        self.versions += 1;
        let number =
            if self.rng.chance(0.2) { self.rng.between(1, self.versions) } else { self.versions };
        let (version, again) = (format!("v{number}"), self.rng.chance(0.5));
        let digest = format!("sha-{version}");
        let request =
            Request { service: scenario::SERVICE, version: &version, digest: &digest, again };
        let by = scenario::draw_actor(&mut self.rng);
        let truth = scenario::draw_truth(&mut self.rng);
        let plan = &self.scenario.plan;
        let made = controller.create(&mut self.env, &request, |id| {
            scenario::created(id, &version, plan, by, again)
        })?;
        match made {
            Ok(id) => {
                self.env.world.truth.insert(id.to_string(), truth);
            }
            Err(why) => self.env.note(format!("{version} is not released: {why}")),
        }
        Ok(())
    }

    fn command(&mut self, controller: &mut Controller) -> Result<(), Stop> {
        let (id, command) = (self.target(controller), scenario::draw_command(&mut self.rng));
        let by = scenario::draw_actor(&mut self.rng);
        if self.env.strikes(Fault::DoubleClick) {
            controller.command(&mut self.env, &id, command.clone(), by.clone())?;
        }
        controller.command(&mut self.env, &id, command, by)
    }

    /// Mostly what is under way, sometimes anything.
    fn target(&mut self, controller: &Controller) -> RolloutId {
        let all: Vec<&RolloutId> = controller.rollouts().keys().collect();
        let any = self.rng.pick(&all).clone();
        let active = controller.board().service(scenario::SERVICE).and_then(|it| it.active.clone());
        active.filter(|_| self.rng.chance(0.9)).unwrap_or(any)
    }

    fn outcome(self, seed: u64) -> Outcome {
        let ends = self.checker.rollouts().values().map(Rollout::state_name);
        let mut ended = std::collections::BTreeMap::new();
        for end in ends {
            *ended.entry(end).or_default() += 1;
        }
        Outcome {
            seed,
            events: self.checker.events(),
            lives: self.lives,
            virtual_time: self.env.world.elapsed,
            ends: ended,
            faults: self.env.faults.struck.clone(),
            crashes: self.env.faults.crashes.clone(),
            history: self.env.history().to_vec(),
        }
    }
}
