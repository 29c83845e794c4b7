//! The lease protocol: the row of a run, and the statements that change it, as `store/src/runs` sends them.

use safire_domain::{
    lifecycle::{RunEvent, RunState},
    run::MAX_ATTEMPTS,
};

/// A process, by number.
pub type Owner = u8;

/// What a row says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Where the run stands.
    pub state: RunState,
    /// Which attempt it is.
    pub attempt: i64,
    /// Who holds it.
    pub owner: Option<Owner>,
    /// Whether the database's clock says that the lease has ended.
    pub expired: bool,
    /// Ends committed so far: there may be one. More than two are counted as two.
    pub ends: u8,
    /// An end was committed for a process that did not hold the run at that moment.
    pub stolen: bool,
}

/// What a process believes of a run that it calculates: the attempt that it was given.
pub type Belief = Option<i64>;

/// A deviation from the protocol, to see that the model would notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// As in the service: attempt and owner are compared.
    Whole,
    /// The owner is not compared.
    AttemptOnly,
    /// Nothing is compared but the state.
    None,
}

impl Row {
    /// The run as it is accepted by that process.
    pub fn accepted(by: Owner) -> Self {
        Self { state: RunState::Queued, attempt: 1, owner: Some(by), expired: false, ends: 0, stolen: false }
    }

    /// Whether it has come to its end.
    pub fn has_ended(&self) -> bool {
        self.state.has_ended()
    }

    /// `runs::renew`.
    pub fn renew(&mut self, by: Owner) {
        if self.owner == Some(by) && !self.has_ended() {
            self.expired = false;
        }
    }

    /// `runs::claim` of what others left or gave back; the attempt that the process is to calculate.
    pub fn claim(&mut self, by: Owner) -> Belief {
        let abandoned = self.owner.is_none() || (self.owner != Some(by) && self.expired);
        if self.has_ended() || !abandoned {
            return None;
        }
        (self.owner, self.expired, self.attempt) = (Some(by), false, self.attempt + 1);
        if self.attempt > MAX_ATTEMPTS {
            self.end(RunEvent::Failed);
            return None;
        }
        Some(self.attempt)
    }

    /// `runs::claim` of a run that the process holds and does not work on.
    pub fn reclaim(&mut self, by: Owner) -> Belief {
        (self.owner == Some(by) && !self.has_ended()).then(|| {
            self.expired = false;
            self.attempt
        })
    }

    /// `runs::hand_back`.
    pub fn hand_back(&mut self, by: Owner) {
        if self.owner == Some(by) && !self.has_ended() {
            (self.owner, self.expired, self.attempt) = (None, false, self.attempt - 1);
        }
    }

    /// `runs::settle`: whether the result was committed.
    pub fn settle(&mut self, by: Owner, attempt: i64, fence: Fence) -> bool {
        let holds = self.owner == Some(by) && self.attempt == attempt;
        let passes = match fence {
            Fence::Whole => holds,
            Fence::AttemptOnly => self.attempt == attempt,
            Fence::None => true,
        };
        let passes = passes && (fence == Fence::None || !self.has_ended());
        if passes {
            self.stolen |= !holds;
            self.end(RunEvent::Succeeded);
        }
        passes
    }

    fn end(&mut self, event: RunEvent) {
        // A deviating model may end a run twice; the service's own rule refuses.
        self.state = self.state.after(event).unwrap_or(self.state);
        (self.owner, self.ends) = (None, (self.ends + 1).min(2));
    }
}
