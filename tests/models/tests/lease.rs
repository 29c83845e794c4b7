//! The lease protocol, all of it within a small bound: every order in which processes may be given a run, be
//! paused, die, come back, lose their lease, give back and commit.

use std::hash::{Hash, Hasher};

use safire_domain::run::MAX_ATTEMPTS;
use safire_models::lease::{Belief, Fence, Owner, Row};
use stateright::{Checker, Model, Property};

/// So many processes, so many ends of a lease, deaths and drains.
#[derive(Clone)]
struct Protocol {
    processes: u8,
    mishaps: u8,
    fence: Fence,
}

#[derive(Debug, Clone, PartialEq)]
struct State {
    row: Row,
    /// What each process calculates, or has calculated and not yet committed. Whoever is paused believes on.
    beliefs: Vec<Belief>,
    mishaps: u8,
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Row { state, attempt, owner, expired, ends, stolen } = self.row;
        (state.as_str(), attempt, owner, expired, ends, stolen, &self.beliefs, self.mishaps).hash(hasher);
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    /// Time passes and the holder does not renew: it is paused, cut off, or dead.
    Expire,
    Renew(Owner),
    Claim(Owner),
    /// The process forgets everything: its next life has another name, so it is never the holder again.
    Die(Owner),
    /// The process finds that it holds a run that nobody in it works on.
    Reclaim(Owner),
    HandBack(Owner),
    /// The result, ready at any time, also late; the process may be told and forget, or try again.
    Settle(Owner),
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut beliefs = vec![None; usize::from(self.processes)];
        beliefs[0] = Some(1);
        vec![State { row: Row::accepted(0), beliefs, mishaps: 0 }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let mishap = state.mishaps < self.mishaps;
        if mishap && state.row.owner.is_some() {
            actions.push(Action::Expire);
        }
        for process in 0..self.processes {
            actions.extend([Action::Renew(process), Action::Claim(process), Action::Reclaim(process)]);
            if mishap {
                actions.extend([Action::Die(process), Action::HandBack(process)]);
            }
            if state.beliefs[usize::from(process)].is_some() {
                actions.push(Action::Settle(process));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        match action {
            Action::Expire => {
                next.row.expired = true;
                next.mishaps += 1;
            }
            Action::Renew(process) => next.row.renew(process),
            Action::Claim(process) => {
                if let Some(given) = next.row.claim(process) {
                    next.beliefs[usize::from(process)] = Some(given);
                }
            }
            Action::Reclaim(process) => next.beliefs[usize::from(process)] = Some(next.row.reclaim(process)?),
            Action::Die(process) => {
                next.beliefs[usize::from(process)] = None;
                next.mishaps += 1;
            }
            Action::HandBack(process) => {
                // It goes on calculating: the worst that a drain may leave behind.
                next.row.hand_back(process);
                next.mishaps += 1;
            }
            Action::Settle(process) => {
                let attempt = next.beliefs[usize::from(process)].take()?;
                if next.row.settle(process, attempt, self.fence) {
                    // The answer may be lost: then it tries again.
                    next.beliefs[usize::from(process)] = Some(attempt);
                }
            }
        }
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one end at most", |_, state: &State| state.row.ends <= 1),
            Property::always("only its holder ends a run", |_, state: &State| !state.row.stolen),
            Property::always("attempts are few", |_, state: &State| state.row.attempt <= MAX_ATTEMPTS + 1),
            Property::always("what has ended is nobody's", |_, state: &State| {
                !state.row.has_ended() || state.row.owner.is_none()
            }),
            // In whatever state: it has ended, somebody holds it, or anybody may.
            Property::always("nothing accepted is lost", |protocol: &Protocol, state: &State| {
                state.row.has_ended() || protocol.can_end(state)
            }),
            Property::sometimes("it succeeds", |_, state: &State| state.row.ends == 1 && state.row.attempt == 1),
            Property::sometimes("it succeeds after a takeover", |_, state: &State| {
                state.row.ends == 1 && state.row.attempt == 2
            }),
            Property::sometimes("it is given up", |_, state: &State| {
                state.row.attempt > MAX_ATTEMPTS && state.row.has_ended()
            }),
            Property::sometimes("a late result is ready when another holds the run", |_, state: &State| {
                let late = |belief: &Belief| belief.is_some_and(|attempt| attempt < state.row.attempt);
                state.row.owner.is_some() && state.beliefs.iter().any(late)
            }),
        ]
    }
}

impl Protocol {
    /// Whether a process that lives can bring the run to its end, once what went wrong is over.
    fn can_end(&self, state: &State) -> bool {
        let mut row = state.row;
        row.expired = true;
        let last = self.processes - 1;
        let given = row.claim(last).or_else(|| row.reclaim(last));
        row.has_ended() || given.is_some_and(|attempt| row.settle(last, attempt, Fence::Whole))
    }
}

fn check(fence: Fence) -> impl Checker<Protocol> {
    let protocol = Protocol { processes: 3, mishaps: 6, fence };
    protocol.checker().threads(2).spawn_bfs().join()
}

#[test]
fn no_two_commit_nothing_is_lost_and_attempts_are_few_in_every_order() {
    let checker = check(Fence::Whole);
    eprintln!("lease: {} states, {} of them different", checker.state_count(), checker.unique_state_count());
    assert!(checker.is_done(), "not all states were looked at");
    assert!(checker.unique_state_count() > 1000);
    checker.assert_properties();
}

#[test]
fn without_the_owner_in_the_fence_a_run_that_was_given_back_is_ended_by_another() {
    let checker = check(Fence::AttemptOnly);
    assert!(checker.discovery("only its holder ends a run").is_some());
}

#[test]
fn without_a_fence_two_commit() {
    assert!(check(Fence::None).discovery("one end at most").is_some());
}
