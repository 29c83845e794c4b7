//! When to stop asking Redis, and when to try again: a circuit breaker, as pure state.
//!
//! Closed: commands go through. After several failures in a row, or when the connection is lost, it
//! opens: commands are answered at once with nothing. While it is open one attempt to connect is made
//! after each wait (half-open), and the first that succeeds closes it.

use std::time::Duration;

/// Where the circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// Commands go to Redis.
    Closed,
    /// Commands are passed by.
    Open,
    /// Commands are passed by, and Redis is being asked whether it is back.
    HalfOpen,
}

impl CircuitState {
    /// The state's name, for health reports and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Failures in a row that open the circuit.
const THRESHOLD: u32 = 3;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A circuit breaker; it begins open, because nothing is connected yet.
#[derive(Debug)]
pub(super) struct Circuit {
    state: CircuitState,
    failures: u32,
    attempts: u32,
}

impl Circuit {
    pub fn new() -> Self {
        Self { state: CircuitState::Open, failures: 0, attempts: 0 }
    }

    pub fn state(&self) -> CircuitState {
        self.state
    }

    /// A command was answered.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// A command was not answered; `true` when this opened the circuit.
    pub fn failed(&mut self) -> bool {
        self.failures += 1;
        let opens = self.state == CircuitState::Closed && self.failures >= THRESHOLD;
        if opens {
            self.state = CircuitState::Open;
        }
        opens
    }

    /// The connection is gone; `true` when this opened the circuit.
    pub fn lost(&mut self) -> bool {
        std::mem::replace(&mut self.state, CircuitState::Open) == CircuitState::Closed
    }

    /// An attempt to connect begins.
    pub fn try_again(&mut self) {
        self.state = CircuitState::HalfOpen;
    }

    /// The attempt failed; this is how many there were.
    pub fn still_away(&mut self) -> u32 {
        self.state = CircuitState::Open;
        self.attempts += 1;
        self.attempts
    }

    /// The attempt succeeded; returns how many failed before it.
    pub fn close(&mut self) -> u32 {
        self.state = CircuitState::Closed;
        self.failures = 0;
        std::mem::take(&mut self.attempts)
    }

    /// How long to wait before the next attempt; `jitter`, from 0.5 to 1, keeps replicas out of step.
    pub fn wait(&self, jitter: f64) -> Duration {
        let doubled = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.attempts.saturating_sub(1)));
        doubled.min(LONGEST_WAIT).mul_f64(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed() -> Circuit {
        let mut circuit = Circuit::new();
        circuit.close();
        circuit
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_an_answer_between_starts_anew() {
        let mut circuit = closed();
        assert!(!circuit.failed() && !circuit.failed());
        circuit.succeeded();
        assert!(!circuit.failed() && !circuit.failed());
        assert!(circuit.failed());
        assert_eq!(circuit.state(), CircuitState::Open);
        assert!(!circuit.failed(), "it opens once");
    }

    #[test]
    fn a_lost_connection_opens_it_at_once() {
        let mut circuit = closed();
        assert!(circuit.lost());
        assert!(!circuit.lost());
    }

    #[test]
    fn waits_double_up_to_five_seconds_and_begin_anew_after_a_success() {
        let mut circuit = closed();
        circuit.lost();
        let waits: Vec<_> = (0..8)
            .map(|_| {
                circuit.try_again();
                circuit.still_away();
                circuit.wait(1.0).as_millis()
            })
            .collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(circuit.close(), 8);
        assert_eq!(circuit.wait(0.5).as_millis(), 50);
    }
}
