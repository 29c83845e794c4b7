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
use crate::inputs::{InputDocument, resolve};
use crate::metric::Metric;
use crate::trace::Plain;
use crate::units::Quantity;

mod changes;

use changes::{Player, players};

/// Up to this many changes every order is averaged; beyond, each change takes every place once, forwards
/// and backwards.
const EVERY_ORDER: usize = 8;

/// Scenarios, compared with the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(description = "Scenarios, compared with the first of them.")]
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
pub struct Compared {
    /// What it is called.
    pub name: String,
    /// The metric's value.
    pub value: Answer,
    /// By how much it is above that of the first.
    pub difference: Answer,
    /// What was changed; empty for the first.
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
    let first = scenarios.first().map(|(_, document)| *document);
    let compared = scenarios.iter().enumerate().map(|(at, (name, document))| {
        let reference = first.filter(|_| at > 0);
        one(name, document, reference, metric)
    });
    Comparison { metric, unit: metric.unit().into(), scenarios: compared.collect() }
}

fn one(name: &str, document: &InputDocument, reference: Option<&InputDocument>, metric: Metric) -> Compared {
    let value = value_of(document, metric);
    let Some(reference) = reference else {
        let difference = value.and_then(|_| Answer::Found { value: 0.0 });
        return Compared { name: name.into(), value, difference, changes: Vec::new() };
    };
    let before = value_of(reference, metric);
    let difference = before.and_then(|before| value.and_then(|after| Answer::Found { value: after - before }));
    let players = players(reference, document);
    let game = Game { from: reference, to: document, players: &players, metric };
    let contributions = difference.value().and_then(|difference| game.contributions(difference));
    let changes = players.iter().enumerate().map(|(at, player)| Change {
        inputs: player.inputs.clone(),
        contribution: match &contributions {
            Some(all) => Answer::Found { value: all[at] },
            None => Answer::none("the metric has no single value at every step between the scenarios"),
        },
    });
    Compared { name: name.into(), value, difference, changes: changes.collect() }
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

/// Two scenarios and the changes that lead from one to the other.
struct Game<'a> {
    from: &'a InputDocument,
    to: &'a InputDocument,
    players: &'a [Player],
    metric: Metric,
}

impl Game<'_> {
    /// What each change contributes; `None` where a scenario on the way has no value.
    fn contributions(&self, difference: f64) -> Option<Vec<f64>> {
        let shares = if self.players.len() <= EVERY_ORDER { self.shapley()? } else { self.rotations()? };
        Some(exact(shares, difference))
    }

    /// The metric when the changes in `made` are made.
    fn value(&self, made: impl Fn(usize) -> bool) -> Option<f64> {
        let mut document = self.from.clone();
        for (_, player) in self.players.iter().enumerate().filter(|(at, _)| made(*at)) {
            player.apply(&mut document, self.to);
        }
        value_of(&document, self.metric).value()
    }

    /// Shapley values over all orders, by coalitions: a coalition of s others weighs s!(n−1−s)!/n!.
    fn shapley(&self) -> Option<Vec<f64>> {
        let count = self.players.len();
        let values: Option<Vec<f64>> =
            (0..1usize << count).map(|coalition| self.value(|at| coalition >> at & 1 == 1)).collect();
        let values = values?;
        let mut shares = vec![0.0; count];
        for (at, share) in shares.iter_mut().enumerate() {
            for without in (0..1usize << count).filter(|coalition| coalition >> at & 1 == 0) {
                *share += weight(without.count_ones(), count) * (values[without | 1 << at] - values[without]);
            }
        }
        Some(shares)
    }

    /// The mean over the rotations of the order of the document and their reverses.
    fn rotations(&self) -> Option<Vec<f64>> {
        let count = self.players.len();
        let mut shares = vec![0.0; count];
        for turn in 0..count {
            let mut order: Vec<usize> = (0..count).collect();
            order.rotate_left(turn);
            for _ in 0..2 {
                self.walk(&order, &mut shares)?;
                order.reverse();
            }
        }
        shares.iter_mut().for_each(|share| *share /= 2.0 * count as f64);
        Some(shares)
    }

    /// Adds what each change does when they are made in this order.
    fn walk(&self, order: &[usize], shares: &mut [f64]) -> Option<()> {
        let mut before = self.value(|_| false)?;
        for step in 1..=order.len() {
            let after = self.value(|at| order[..step].contains(&at))?;
            shares[order[step - 1]] += after - before;
            before = after;
        }
        Some(())
    }
}

/// The share of all orders in which exactly a certain coalition of `size` others comes first.
fn weight(size: u32, count: usize) -> f64 {
    let mut weight = 1.0 / count as f64;
    for chosen in 0..size {
        weight *= f64::from(chosen + 1) / f64::from(count as u32 - 1 - chosen);
    }
    weight
}

/// Takes the rounding out of the sum: the largest share gives way.
fn exact(mut shares: Vec<f64>, difference: f64) -> Vec<f64> {
    let largest = (0..shares.len()).max_by(|a, b| shares[*a].abs().total_cmp(&shares[*b].abs()));
    if let Some(largest) = largest {
        shares[largest] += difference - shares.iter().sum::<f64>();
    }
    shares
}
