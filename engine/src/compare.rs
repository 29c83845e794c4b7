//! Comparing scenarios: what was changed, and what each change does to a metric.
//!
//! The first scenario is the one that the others are compared with. A difference of a metric is shared among
//! the changed inputs by their Shapley values: the contribution of an input is what its change does to the
//! metric, averaged over the orders in which the inputs could have been changed. Contributions sum to the
//! difference, and inputs that do alike get alike.
//!
//! Inputs that only make sense together count as one: what the balances of mass and carbon hold against each
//! other, what the calendar ties together, and what emissions are found by.
//!
//! # Source
//!
//! Shapley, *A value for n-person games*, 1953.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::base::analyse;
use crate::inputs::{InputDocument, Invalid, resolve};
use crate::metric::Metric;
use crate::trace::Plain;
use crate::units::Quantity;

mod changes;
mod game;

use changes::players;
use game::Game;

/// Scenarios, compared with the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Contributions, description = "Scenarios, compared with the first of them by one metric.")]
pub struct Comparison {
    /// The metric.
    pub metric: Metric,
    /// Its unit.
    pub unit: String,
    /// The scenarios in the order given.
    pub scenarios: Vec<Compared>,
}

/// One scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ContributionsTo, description = "One scenario: its metric, and what each change does to it.")]
pub struct Compared {
    /// What it is called.
    pub name: String,
    /// The metric's value.
    pub value: Answer,
    /// By how much it is above that of the first.
    pub difference: Answer,
    /// What was changed; empty for the first, and where one of both is incomplete.
    pub changes: Vec<Change>,
}

/// Inputs that were changed together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// The inputs.
    pub inputs: Vec<ChangedInput>,
    /// What the change does to the metric.
    pub contribution: Answer,
}

/// One input that was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChangedInput {
    /// Where it is, as a JSON pointer.
    pub pointer: String,
    /// What it was in the first scenario; absent where it was not given, or is no quantity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Quantity>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Quantity>,
}

/// Compares complete documents, as [`Resolved::document`](crate::Resolved::document) gives them, with the
/// first of them.
///
/// ```
/// use safire_engine::{InputDocument, Metric, Quantity, compare::compare};
///
/// let example: serde_json::Value =
///     serde_json::from_str(include_str!("../../examples/hefa-uco-usa.json")).unwrap();
/// let ours: InputDocument = serde_json::from_value(example["inputs"].clone()).unwrap();
/// let mut dearer = ours.clone();
/// assert!(dearer.set("/utilities/hydrogen/price", Quantity::new(6.4, "USD/kg")));
///
/// let compared = compare(&[("ours", &ours), ("dearer", &dearer)], Metric::Lcop);
/// let change = &compared.scenarios[1].changes[0];
/// assert_eq!(change.inputs[0].pointer, "/utilities/hydrogen/price");
/// assert_eq!(format!("{:.2}", change.contribution.value().unwrap()), "42.00");
/// ```
pub fn compare(scenarios: &[(&str, &InputDocument)], metric: Metric) -> Comparison {
    let scenarios = scenarios.iter().map(|(name, document)| ((*name).to_owned(), Ok((*document).clone())));
    let mut comparing = Comparing::new(scenarios.collect(), metric);
    while comparing.step() {}
    comparing.finish()
}

/// A complete document, or why there is none.
pub type Subject = Result<InputDocument, Invalid>;

/// A comparison under way: [`compare`] in small steps, between which others can have their turn.
pub struct Comparing {
    metric: Metric,
    waiting: std::vec::IntoIter<(String, Subject)>,
    /// The first scenario with its metric.
    first: Option<(Subject, Answer)>,
    game: Option<(Compared, Game)>,
    done: Vec<Compared>,
}

impl Comparing {
    /// Gets ready to compare scenarios with the first of them, in their order.
    pub fn new(scenarios: Vec<(String, Subject)>, metric: Metric) -> Self {
        Self { metric, waiting: scenarios.into_iter(), first: None, game: None, done: Vec::new() }
    }

    /// Evaluates one scenario. Says whether there is more to do.
    pub fn step(&mut self) -> bool {
        match self.game.take() {
            Some((compared, mut game)) => match game.step() {
                true => self.game = Some((compared, game)),
                false => self.done.push(contributed(compared, &game)),
            },
            None => match self.waiting.next() {
                Some((name, subject)) => self.begin(name, subject),
                None => return false,
            },
        }
        true
    }

    fn begin(&mut self, name: String, subject: Subject) {
        let value = value_of_subject(&subject, self.metric);
        let Some((first, before)) = &self.first else {
            let difference = value.and_then(|_| Answer::Found { value: 0.0 });
            self.done.push(Compared { name, value: value.clone(), difference, changes: Vec::new() });
            self.first = Some((subject, value));
            return;
        };
        let difference = before.and_then(|before| value.and_then(|after| Answer::Found { value: after - before }));
        let mut compared = Compared { name, value, difference, changes: Vec::new() };
        let (Ok(from), Ok(to)) = (first, subject) else {
            self.done.push(compared);
            return;
        };
        let players = players(from, &to);
        let change = |inputs| Change { inputs, contribution: Answer::none(NOT_ALL) };
        compared.changes = players.iter().map(|player| change(player.inputs.clone())).collect();
        match compared.difference.value() {
            Some(difference) => {
                self.game = Some((compared, Game::new(from.clone(), to, players, self.metric, difference)));
            }
            None => self.done.push(compared),
        }
    }

    /// What has been compared.
    pub fn finish(mut self) -> Comparison {
        while self.step() {}
        Comparison { metric: self.metric, unit: self.metric.unit().into(), scenarios: self.done }
    }
}

const NOT_ALL: &str = "the metric has no single value at every step between the scenarios";

fn contributed(mut compared: Compared, game: &Game) -> Compared {
    for (change, share) in compared.changes.iter_mut().zip(game.contributions().unwrap_or_default()) {
        change.contribution = Answer::Found { value: share };
    }
    compared
}

fn value_of_subject(subject: &Subject, metric: Metric) -> Answer {
    match subject {
        Ok(document) => value_of(document, metric),
        Err(invalid) => Answer::none(invalid.to_string()),
    }
}

fn value_of(document: &InputDocument, metric: Metric) -> Answer {
    match resolve(document, None) {
        Err(invalid) => Answer::none(invalid.to_string()),
        Ok(resolved) => match analyse(&resolved.inputs, &mut Plain) {
            Err(failure) => Answer::none(failure.message),
            Ok(result) => metric.answer(&result),
        },
    }
}
