//! Everything outside the controller: time, traffic, processes, and who receives messages.

use std::collections::{BTreeMap, BTreeSet};

use rollout::units::{Millis, Timestamp};

use crate::faults::{Fault, Faults};
use crate::proxy::{Proxy, Push, Truth};
use crate::seed::{Rng, real};

/// When every history begins: 2026-01-01, UTC.
const BEGINNING: i64 = 1_767_225_600_000;
const DAY_MS: u64 = 86_400_000;

/// The world.
#[derive(Debug)]
pub struct World {
    rng: Rng,
    /// Time that really passed; what lengths are measured by.
    pub elapsed: Millis,
    /// What the clock on the wall is ahead of the time that passed, in milliseconds.
    ahead: i64,
    /// Requests per second to the service.
    pub rps: f64,
    /// How each release really behaves, by its id.
    pub truth: BTreeMap<String, Truth>,
    /// The process of each release, by its id.
    pub processes: BTreeMap<String, Process>,
    /// The proxy.
    pub proxy: Proxy,
    /// Who receives messages.
    pub inbox: Inbox,
}

/// How a release's process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// It will be ready then.
    Starting(Millis),
    /// It will have failed then.
    Dying(Millis),
    /// It will never say anything.
    Hanging,
    /// Its health check answers.
    Ready,
    /// It cannot be brought up.
    Failing,
}

/// All receivers of messages; each knows the keys it has seen.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Every message that arrived, repeats included: key and text.
    pub received: Vec<(String, String)>,
}

impl World {
    /// A world in which nothing runs yet.
    pub fn new(rng: Rng, rps: f64) -> Self {
        Self {
            rng,
            elapsed: Millis::ZERO,
            ahead: 0,
            rps,
            truth: BTreeMap::new(),
            processes: BTreeMap::new(),
            proxy: Proxy::default(),
            inbox: Inbox::default(),
        }
    }

    /// The time of day, as the clock on the wall has it.
    pub fn now(&self) -> Timestamp {
        Timestamp(BEGINNING + self.ahead).plus(self.elapsed)
    }

    /// Lets time pass: traffic flows, processes start, late pushes arrive.
    pub fn pass(&mut self, length: Millis) {
        let requests = self.rng.poisson(self.rps * real(length.0) / 1_000.0);
        let Self { proxy, truth, processes, rng, .. } = self;
        let behaves = |release: &str| match processes.get(release) {
            Some(Process::Ready) => truth.get(release).copied().unwrap_or_default(),
            _ => Truth { bad: 1.0, slow: 0.0 },
        };
        proxy.serve(requests, length, &behaves, rng);
        self.elapsed = self.elapsed.plus(length);
        self.proxy.arrive(self.elapsed);
        for process in self.processes.values_mut() {
            match *process {
                Process::Starting(at) if at <= self.elapsed => *process = Process::Ready,
                Process::Dying(at) if at <= self.elapsed => *process = Process::Failing,
                _ => {}
            }
        }
    }

    /// Lets the clock on the wall jump, if it is to.
    pub fn jump(&mut self, faults: &mut Faults) -> Option<Fault> {
        for (fault, sign) in [(Fault::ClockAhead, 1), (Fault::ClockBack, -1)] {
            if faults.strikes(fault) {
                let days = faults.size(1, 30 * DAY_MS);
                self.ahead += sign * i64::try_from(days).unwrap_or(0);
                return Some(fault);
            }
        }
        None
    }

    /// Brings a push to the proxy, or loses or delays it.
    pub fn push(&mut self, push: Push, faults: &mut Faults) {
        if faults.strikes(Fault::PushLost) {
            return;
        }
        if faults.strikes(Fault::PushLate) {
            let due = self.elapsed.plus(Millis(faults.size(1_000, 60_000)));
            self.proxy.take_late(due, push);
            return;
        }
        self.proxy.take(push);
    }

    /// Starts what is wanted and stops the rest.
    pub fn want(&mut self, wanted: &BTreeSet<String>, faults: &mut Faults) {
        self.processes.retain(|release, _| wanted.contains(release));
        for release in wanted {
            if !self.processes.contains_key(release) {
                let due = self.elapsed.plus(Millis(self.rng.between(500, 20_000)));
                let process = if faults.strikes(Fault::DeployFailed) {
                    Process::Dying(due)
                } else if faults.strikes(Fault::DeployHangs) {
                    Process::Hanging
                } else {
                    Process::Starting(due)
                };
                self.processes.insert(release.clone(), process);
            }
        }
    }

    /// Processes that hang are ended, as the deployer does once their time is over.
    pub fn heal(&mut self) {
        for process in self.processes.values_mut() {
            if *process == Process::Hanging {
                *process = Process::Failing;
            }
        }
    }
}
