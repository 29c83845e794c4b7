//! Samples of the uncertain inputs, tile by tile.

use super::copula::Copula;
use super::distribution::Distribution;
use super::normal;
use super::quantile::{Quantile, ScoreTable};
use super::sobol::Coordinate;
use super::stream::Stream;
use crate::lanes::Column;

/// Where probabilities come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Random(Stream),
    Sobol(Box<Coordinate>),
}

impl Source {
    #[inline(always)]
    pub fn fill(&self, first: u64, column: &mut Column) {
        match self {
            Self::Random(stream) => stream.fill(first, column),
            Self::Sobol(coordinate) => coordinate.fill(first, column),
        }
    }
}

/// The uncertain inputs, prepared to be drawn.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    sources: Vec<Source>,
    quantiles: Vec<Quantile>,
    copula: Option<(Copula, Box<ScoreTable>)>,
}

impl Draws {
    /// Draws of these distributions, each from its own source.
    pub fn new(sources: Vec<Source>, distributions: &[Distribution], copula: Option<Copula>) -> Self {
        let quantiles = distributions.iter().map(Quantile::of).collect();
        let copula = copula.map(|copula| (copula, Box::new(ScoreTable::probabilities())));
        Self { sources, quantiles, copula }
    }

    /// How many inputs are drawn.
    pub fn len(&self) -> usize {
        self.quantiles.len()
    }

    /// Draws the tile of samples that begins with `first`, a multiple of the size of a tile.
    #[inline(always)]
    pub fn fill(&self, first: u64, columns: &mut [Column]) {
        for (source, column) in self.sources.iter().zip(columns.iter_mut()) {
            source.fill(first, column);
        }
        let members: &[usize] = match &self.copula {
            None => &[],
            Some((copula, table)) => {
                self.draw_members(copula, table, columns);
                &copula.members
            }
        };
        for (input, quantile) in self.quantiles.iter().enumerate() {
            if !members.contains(&input) {
                quantile.of_probabilities(&mut columns[input]);
            }
        }
    }

    #[inline(always)]
    fn draw_members(&self, copula: &Copula, table: &ScoreTable, columns: &mut [Column]) {
        for member in &copula.members {
            normal::quantiles(&mut columns[*member]);
        }
        copula.correlate(columns);
        for member in &copula.members {
            self.quantiles[*member].of_correlated_scores(&mut columns[*member], table);
        }
    }
}
