//! Whose turn it is, and what does not come back by itself.

use rollout::machine::{Board, Command, Input, Outcome, Request, Rollout, RolloutId, State, why};

use super::life::{Life, MINUTE, ada, pause, plan, promote, release, roll_back, words};

/// The board after everything that happened in `life`.
fn board_after(life: &Life) -> Board {
    let mut board = Board::default();
    for count in 1..=life.log.len() {
        let seen = life.log[..count].iter().map(|(at, event)| (*at, event));
        let after = Rollout::replay(seen).expect("the first event creates it");
        let (at, event) = &life.log[count - 1];
        board.apply(*at, &after, event);
    }
    board
}

fn wants(version: &'static str, again: bool) -> Request<'static> {
    let digest = match version {
        "v2" => "sha-v2",
        _ => "sha-v3",
    };
    Request { service: "shop", version, digest, again }
}

/// Both lives in the order they were lived, on one board.
struct Queue {
    board: Board,
    lives: [Life; 2],
    told: [usize; 2],
}

impl Queue {
    /// shop-2 in its first stage, shop-3 waiting behind it.
    fn new() -> Self {
        let mut queue = Self {
            board: Board::default(),
            lives: [Life::in_stage_one(plan()), Life::asked_for(plan(), 3)],
            told: [0, 0],
        };
        queue.tell(0);
        queue.tell(1);
        queue
    }

    /// The board takes in what it has not heard of a life.
    fn tell(&mut self, which: usize) {
        let life = &self.lives[which];
        for count in self.told[which] + 1..=life.log.len() {
            let seen = life.log[..count].iter().map(|(at, event)| (*at, event));
            let after = Rollout::replay(seen).expect("the first event creates it");
            let (at, event) = &life.log[count - 1];
            self.board.apply(*at, &after, event);
        }
        self.told[which] = life.log.len();
    }

    fn takes(&mut self, which: usize, input: Input) -> Vec<&'static str> {
        let said = self.lives[which].takes(input);
        self.tell(which);
        said
    }

    /// Gives the rollout that waits what is next for it, and says what that led to.
    fn turns(&mut self) -> Vec<&'static str> {
        let turns = self.board.turns();
        turns.into_iter().flat_map(|(_, input)| self.takes(1, input)).collect()
    }
}

#[test]
fn what_waits_begins_when_the_one_before_it_went_back_by_itself() {
    let mut queue = Queue::new();
    assert!(queue.turns().is_empty(), "shop-2 is under way");
    while queue.lives[0].rollout.running().is_some() {
        queue.lives[0].window(20);
        queue.tell(0);
    }
    assert!(queue.turns().is_empty(), "shop-2 is going back");
    queue.takes(0, Input::Outcome(Outcome::Withdrawn));
    assert_eq!(queue.turns(), ["began"]);
}

#[test]
fn what_waits_is_kept_when_a_person_took_the_one_before_it_back() {
    let mut queue = Queue::new();
    queue.takes(0, Input::Command(roll_back(), ada()));
    assert_eq!(queue.turns(), ["paused"]);
    queue.takes(0, Input::Outcome(Outcome::Withdrawn));
    assert!(queue.turns().is_empty(), "it is kept, and told so once");
    let waiting = &queue.lives[1].rollout;
    assert_eq!(
        why(waiting),
        "sluice keeps it from beginning (ada took shop-2 back while this one waited)"
    );
    queue.takes(1, Input::Command(Command::Resume, ada()));
    assert_eq!(queue.turns(), ["began"]);
}

#[test]
fn what_a_person_had_paused_before_begins_when_it_is_resumed_once() {
    let mut queue = Queue::new();
    queue.takes(1, Input::Command(pause(), ada()));
    queue.takes(0, Input::Command(roll_back(), ada()));
    assert!(queue.turns().is_empty(), "it is paused already");
    queue.takes(0, Input::Outcome(Outcome::Withdrawn));
    queue.takes(1, Input::Command(Command::Resume, ada()));
    assert_eq!(queue.turns(), ["began"]);
}

#[test]
fn what_was_asked_for_after_a_person_took_one_back_begins() {
    let mut queue = Queue::new();
    queue.takes(0, Input::Command(roll_back(), ada()));
    queue.takes(0, Input::Outcome(Outcome::Withdrawn));
    let mut newer = Life::asked_for(plan(), 4);
    let (at, created) = &newer.log[0];
    queue.board.apply(*at, &newer.rollout, created);
    let turns = queue.board.turns();
    assert_eq!(turns.len(), 1);
    assert_eq!(turns[0].0, newer.rollout.id);
    assert_eq!(newer.takes(turns[0].1.clone()), ["began"]);
}

#[test]
fn what_waits_is_called_off_when_its_version_serves_by_then() {
    let mut first = Life::asked_for(plan(), 1);
    first.takes(Input::Turn(None));
    first.takes(Input::Outcome(Outcome::Deployed));
    let mut board = board_after(&first);
    let mut same = Life::asked_for(plan(), 3);
    same.rollout.release.digest = words("sha-v1");
    let (at, created) = &same.log[0];
    board.apply(*at, &same.rollout, created);
    let [(_, input)] = board.turns().try_into().expect("one waits");
    assert_eq!(same.takes(input), ["called_off"]);
}

#[test]
fn what_waits_can_be_paused_and_resumed_by_hand() {
    let mut life = Life::asked_for(plan(), 3);
    assert_eq!(life.asks(pause()), Ok(vec!["paused"]));
    assert_eq!(life.asks(pause()), Ok(vec![]), "pausing twice is pausing once");
    assert!(life.takes(Input::Turn(Some(release("shop-1", "v1")))).is_empty());
    assert_eq!(life.at(), "- 0% paused");
    assert!(life.refuses(promote()).contains("its turn has not come"));
    assert_eq!(life.asks(Command::Resume), Ok(vec!["resumed"]));
    assert_eq!(life.takes(Input::Turn(Some(release("shop-1", "v1")))), ["began"]);
    assert!(matches!(life.rollout.state, State::Deploying { .. }));
}

#[test]
fn a_newer_rollout_takes_the_place_of_one_that_waits_and_of_no_other() {
    let by = RolloutId(words("shop-3"));
    let mut waiting = Life::asked_for(plan(), 2);
    assert_eq!(waiting.asks(Command::Supersede { by: by.clone() }), Ok(vec!["superseded"]));
    let mut running = Life::in_stage_one(plan());
    assert_eq!(
        running.refuses(Command::Supersede { by }),
        "shop-2 is running: only a rollout that still waits can be superseded"
    );
}

#[test]
fn a_version_that_never_comes_up_is_given_up_and_not_called_bad() {
    let mut life = Life::asked_for(plan(), 2);
    life.takes(Input::Turn(Some(release("shop-1", "v1"))));
    assert!(life.takes(Input::Tick).is_empty());
    life.now = life.now.plus(MINUTE.times(2));
    assert_eq!(life.takes(Input::Tick), ["rollback_started"]);
    assert_eq!(
        why(&life.rollout),
        "it is going back: it could not be brought up: the version was not ready within 2m"
    );
    life.takes(Input::Outcome(Outcome::Withdrawn));
    assert_eq!(
        board_after(&life).admit(&wants("v2", false)).map(|it| it.id.0),
        Ok(words("shop-2"))
    );
}

#[test]
fn a_version_that_was_rolled_back_comes_back_only_on_purpose() {
    let mut life = Life::in_stage_one(plan());
    life.windows_until_something_happens(20);
    life.takes(Input::Outcome(Outcome::Withdrawn));
    let board = board_after(&life);
    let refusal = board.admit(&wants("v2", false)).expect_err("it was rolled back").message;
    assert!(refusal.starts_with("version v2 was rolled back in shop-2 (error_rate below 1%"));
    assert!(refusal.ends_with("; ask for it again on purpose with --again"), "{refusal}");
    assert!(board.admit(&wants("v2", true)).is_ok());
    assert!(board.admit(&wants("v3", false)).is_ok());
}

#[test]
fn a_version_that_is_going_back_is_refused_with_the_way_to_ask_again() {
    let mut life = Life::in_stage_one(plan());
    life.takes(Input::Command(roll_back(), ada()));
    let refusal = board_after(&life).admit(&wants("v2", true)).expect_err("it is going back");
    assert_eq!(
        refusal.message,
        "shop-2 is taking version v2 back; once that is over, ask for it again on purpose with --again"
    );
}
