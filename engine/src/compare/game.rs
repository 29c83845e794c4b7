//! The game whose players are the changes between two scenarios.

use super::changes::Player;
use super::value_of;
use crate::inputs::InputDocument;
use crate::metric::Metric;

/// Up to this many changes every order is averaged; beyond, each change takes every place once, forwards
/// and backwards.
const EVERY_ORDER: usize = 8;

/// Two scenarios, the changes that lead from one to the other, and the metric at steps between them.
pub(super) struct Game {
    from: InputDocument,
    to: InputDocument,
    players: Vec<Player>,
    metric: Metric,
    difference: f64,
    /// The metric of the coalitions so far, in their order.
    values: Vec<f64>,
    /// Whether a scenario on the way has no value.
    broken: bool,
}

impl Game {
    pub fn new(from: InputDocument, to: InputDocument, players: Vec<Player>, metric: Metric, difference: f64) -> Self {
        Self { from, to, players, metric, difference, values: Vec::new(), broken: false }
    }

    /// Evaluates the next coalition. Says whether there is more to do.
    pub fn step(&mut self) -> bool {
        if self.broken || self.values.len() == self.coalitions() {
            return false;
        }
        let mut document = self.from.clone();
        for (at, player) in self.players.iter().enumerate() {
            if self.is_made(self.values.len(), at) {
                player.apply(&mut document, &self.to);
            }
        }
        match value_of(&document, self.metric).value() {
            Some(value) => self.values.push(value),
            None => self.broken = true,
        }
        true
    }

    /// What each change contributes; `None` where a scenario on the way has no value.
    pub fn contributions(&self) -> Option<Vec<f64>> {
        if self.values.len() < self.coalitions() {
            return None;
        }
        let shares = if self.takes_every_order() { self.shapley() } else { self.rotations() };
        Some(exact(shares, self.difference))
    }

    fn takes_every_order(&self) -> bool {
        self.players.len() <= EVERY_ORDER
    }

    /// How many coalitions are evaluated.
    fn coalitions(&self) -> usize {
        let count = self.players.len();
        if self.takes_every_order() { 1 << count } else { 2 * count * (count + 1) }
    }

    /// Whether a coalition has made a change: a subset by its bits, or the first few of one of the orders.
    fn is_made(&self, coalition: usize, player: usize) -> bool {
        if self.takes_every_order() {
            return coalition >> player & 1 == 1;
        }
        let (order, made) = (coalition / (self.players.len() + 1), coalition % (self.players.len() + 1));
        let turned = (player + self.players.len() - order / 2) % self.players.len();
        self.in_order(order, turned) < made
    }

    /// A place counted from the other end, in every second order.
    fn in_order(&self, order: usize, place: usize) -> usize {
        if order.is_multiple_of(2) { place } else { self.players.len() - 1 - place }
    }

    /// The change at a place of an order: the order of the document, turned, forwards and then backwards.
    fn player_at(&self, order: usize, place: usize) -> usize {
        (self.in_order(order, place) + order / 2) % self.players.len()
    }

    /// Shapley values over all orders, by coalitions: a coalition of s others weighs s!(n−1−s)!/n!.
    fn shapley(&self) -> Vec<f64> {
        let (count, values) = (self.players.len(), &self.values);
        let mut shares = vec![0.0; count];
        for (at, share) in shares.iter_mut().enumerate() {
            for without in (0..1usize << count).filter(|coalition| coalition >> at & 1 == 0) {
                *share += weight(without.count_ones(), count) * (values[without | 1 << at] - values[without]);
            }
        }
        shares
    }

    /// The mean over the rotations of the order of the document and their reverses.
    fn rotations(&self) -> Vec<f64> {
        let count = self.players.len();
        let mut shares = vec![0.0; count];
        for (order, values) in self.values.chunks(count + 1).enumerate() {
            for (place, pair) in values.windows(2).enumerate() {
                shares[self.player_at(order, place)] += pair[1] - pair[0];
            }
        }
        shares.iter_mut().for_each(|share| *share /= 2.0 * count as f64);
        shares
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
