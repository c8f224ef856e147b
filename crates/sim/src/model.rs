//! A rollout as a referee sees it: which place it is in, what it has earned there, and how
//! much of the traffic it may have at most.
//!
//! Far simpler than the machine and made independently of it: it decides nothing, weighs no
//! evidence and knows no reasons. It only says which moves are moves at all.

use rollout::evidence::{Block, Reading};
use rollout::machine::{Created, Event};
use rollout::plan::Plan;
use rollout::units::{Millis, Timestamp, Weight};

/// Where a rollout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// For its turn.
    Waiting,
    /// The canary is being brought up.
    Deploying,
    /// In the stage of this index.
    Stage(usize),
    /// After the last stage.
    Bake,
    /// Going back.
    Back,
    /// At an end.
    Over,
}

/// One rollout, seen through its events alone.
#[derive(Clone, Debug)]
pub struct Model {
    /// How it is rolled out.
    pub plan: Plan,
    /// The canary's release.
    pub release: String,
    /// Where it is.
    pub place: Place,
    /// Somebody paused it.
    pub paused: bool,
    /// A person has been asked to decide.
    pub asked: bool,
    /// Something served before it.
    pub has_stable: bool,
    /// A weight somebody said not to pass in this stage.
    pub limit: Option<Weight>,
    /// The least the canary was allowed at any moment of the window under way.
    pub least: Weight,
    /// Requests to the canary in this stage or bake, while nobody held it low.
    pub requests: u64,
    /// Time with traffic in this stage or bake, while nobody held it low.
    pub observed: Millis,
    /// Until when traffic has been counted.
    pub counted_to: Timestamp,
    /// Requests to the canary that were ever taken for evidence.
    pub counted: u64,
}

impl Model {
    /// A rollout that was just asked for.
    pub fn new(created: &Created) -> Self {
        Self {
            plan: created.plan.clone(),
            release: created.release.id.clone(),
            place: Place::Waiting,
            paused: false,
            asked: false,
            has_stable: false,
            limit: None,
            least: Weight::FULL,
            requests: 0,
            observed: Millis::ZERO,
            counted_to: Timestamp(i64::MIN),
            counted: 0,
        }
    }

    /// The most traffic the canary may have.
    pub fn cap(&self) -> Weight {
        let weight = self.weight();
        self.limit.map_or(weight, |limit| limit.min(weight))
    }

    /// What the place it is in is about.
    fn weight(&self) -> Weight {
        let stage = match self.place {
            Place::Stage(index) => self.plan.stages.get(index),
            Place::Bake => self.plan.stages.last(),
            Place::Waiting | Place::Deploying | Place::Back | Place::Over => None,
        };
        stage.map_or(Weight::ZERO, |stage| stage.weight)
    }

    /// How long the place it is in must last at least.
    pub fn soak(&self) -> Millis {
        match self.place {
            Place::Stage(index) => self.plan.stages.get(index).map_or(Millis::ZERO, |it| it.soak),
            Place::Bake => self.plan.bake,
            Place::Waiting | Place::Deploying | Place::Back | Place::Over => Millis::ZERO,
        }
    }

    /// Where `event` leads from here: `Some` of the same place for what is no move, `None`
    /// for a move that there is not.
    #[expect(clippy::match_same_arms, reason = "one arm a move, in the order of a life")]
    pub fn next(&self, event: &Event) -> Option<Place> {
        let last = self.plan.stages.len().saturating_sub(1);
        let bakes = self.plan.bake > Millis::ZERO;
        match (self.place, event) {
            (here, Event::Refused { .. } | Event::DeliverySettled(_)) => Some(here),
            (here @ (Place::Stage(_) | Place::Bake), event) if is_remark(event) => Some(here),
            (Place::Waiting, Event::Paused { .. } | Event::Resumed { .. }) => Some(Place::Waiting),
            (Place::Waiting, Event::Began { .. }) if !self.paused => Some(Place::Deploying),
            (Place::Waiting, Event::Superseded { .. } | Event::CalledOff { .. }) => {
                Some(Place::Over)
            }
            (Place::Deploying, Event::StageStarted { index: 0, .. }) if self.has_stable => {
                Some(Place::Stage(0))
            }
            (Place::Deploying, Event::Promoted { .. }) if !self.has_stable => Some(Place::Over),
            (Place::Stage(here), Event::StageStarted { index, .. }) if *index == here + 1 => {
                Some(Place::Stage(*index))
            }
            (Place::Stage(here), Event::BakeStarted { .. }) if here == last && bakes => {
                Some(Place::Bake)
            }
            (Place::Stage(here), Event::Promoted { .. }) if here == last && !bakes => {
                Some(Place::Over)
            }
            (Place::Bake, Event::Promoted { .. }) => Some(Place::Over),
            (Place::Deploying | Place::Stage(_) | Place::Bake, Event::RollbackStarted { .. }) => {
                Some(Place::Back)
            }
            (Place::Back, Event::BlockObserved { .. }) => Some(Place::Back),
            (Place::Back, Event::RolledBack) => Some(Place::Over),
            _ => None,
        }
    }

    /// Takes an event in that was found to be a move.
    pub fn take(&mut self, at: Timestamp, event: &Event) {
        let next = self.next(event).unwrap_or(self.place);
        match event {
            Event::Began { stable } => self.has_stable = stable.is_some(),
            Event::StageStarted { .. } => {
                self.limit = None;
                self.least = Weight::FULL;
                self.counted_to = at;
                self.begin();
            }
            Event::BakeStarted { .. } => self.begin(),
            Event::BlockObserved { block } => self.count(block),
            Event::PersonAsked { .. } => self.asked = true,
            Event::Limited { weight, .. } => {
                self.limit = Some(*weight);
                self.least = self.least.min(self.cap());
            }
            Event::Paused { .. } => self.paused = true,
            Event::Resumed { .. } => self.paused = false,
            _ => {}
        }
        self.place = next;
    }

    fn begin(&mut self) {
        self.paused = false;
        self.asked = false;
        self.requests = 0;
        self.observed = Millis::ZERO;
    }

    fn count(&mut self, block: &Block) {
        self.counted_to = block.to;
        if let Reading::Counts(counts) = &block.canary {
            self.counted += counts.requests;
            if counts.requests > 0 && self.least >= self.weight() {
                self.requests += counts.requests;
                let length = block.to.since(block.from).min(self.plan.block().times(2));
                self.observed = self.observed.plus(length);
            }
        }
        self.least = self.cap();
    }
}

/// Events that say something about a stage and move nothing.
const fn is_remark(event: &Event) -> bool {
    matches!(
        event,
        Event::BlockObserved { .. }
            | Event::Held { .. }
            | Event::PersonAsked { .. }
            | Event::Alerted { .. }
            | Event::AlertEnded { .. }
            | Event::Limited { .. }
            | Event::Paused { .. }
            | Event::Resumed { .. }
    )
}
