//! Samples of the uncertain inputs, tile by tile.

use super::copula::Copula;
use super::distribution::Distribution;
use super::normal;
use super::quantile::{Quantile, ScoreTable};
use super::sobol::Coordinate;
use super::stream::Stream;
use super::variates;
use crate::analysis::model::Reach;
use crate::lanes::Column;

/// Where probabilities come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Random(Stream),
    Sobol(Box<Coordinate>),
}

impl Source {
    /// Probabilities.
    #[inline(always)]
    fn fill(&self, first: u64, column: &mut Column) {
        match self {
            Self::Random(stream) => stream.fill(first, column),
            Self::Sobol(coordinate) => coordinate.fill(first, column),
        }
    }

    /// Standard normal numbers.
    #[inline(always)]
    fn fill_scores(&self, first: u64, column: &mut Column) {
        match self {
            Self::Random(stream) => variates::normals(*stream, first, column),
            Self::Sobol(coordinate) => {
                coordinate.fill(first, column);
                normal::quantiles(column);
            }
        }
    }
}

/// The uncertain inputs, prepared to be drawn.
#[derive(Debug, Clone)]
pub(crate) struct Draws {
    sources: Vec<Source>,
    quantiles: Vec<Quantile>,
    reaches: Vec<Reach>,
    /// The inputs that are not correlated with any other.
    independent: Vec<usize>,
    copula: Option<(Copula, Box<ScoreTable>)>,
}

impl Draws {
    /// Draws of these distributions, each from its own source.
    pub fn new(sources: Vec<Source>, distributions: &[Distribution], copula: Option<Copula>) -> Self {
        let quantiles = distributions.iter().map(Quantile::of).collect();
        let correlated = |input: &usize| copula.as_ref().is_some_and(|copula| copula.members.contains(input));
        let independent = (0..distributions.len()).filter(|input| !correlated(input)).collect();
        let anywhere = Reach { least: f64::NEG_INFINITY, greatest: f64::INFINITY };
        // Correlated numbers are sums, of which nothing is said.
        let reach = |(input, distribution): (usize, &Distribution)| {
            if correlated(&input) { anywhere } else { distribution.reach() }
        };
        let reaches = distributions.iter().enumerate().map(reach).collect();
        let copula = copula.map(|copula| (copula, Box::new(ScoreTable::probabilities())));
        Self { sources, quantiles, reaches, independent, copula }
    }

    /// How many inputs are drawn.
    pub fn len(&self) -> usize {
        self.quantiles.len()
    }

    /// Between which values the inputs lie.
    pub fn reaches(&self) -> &[Reach] {
        &self.reaches
    }

    /// Draws the tile of samples that begins with `first`, a multiple of the size of a tile.
    #[inline(always)]
    pub fn fill(&self, first: u64, columns: &mut [Column]) {
        if let Some((copula, table)) = &self.copula {
            self.draw_members(copula, table, first, columns);
        }
        for input in &self.independent {
            self.draw(*input, first, &mut columns[*input]);
        }
    }

    #[inline(always)]
    fn draw(&self, input: usize, first: u64, column: &mut Column) {
        let (source, quantile) = (&self.sources[input], &self.quantiles[input]);
        match (source, quantile) {
            (Source::Random(stream), Quantile::Triangular(triangular)) => {
                triangular.triangle.fill(*stream, first, column);
            }
            (_, Quantile::Normal { .. } | Quantile::Lognormal { .. } | Quantile::Pert { .. }) => {
                source.fill_scores(first, column);
                quantile.of_scores(column);
            }
            _ => {
                source.fill(first, column);
                quantile.of_probabilities(column);
            }
        }
    }

    #[inline(always)]
    fn draw_members(&self, copula: &Copula, table: &ScoreTable, first: u64, columns: &mut [Column]) {
        for member in &copula.members {
            self.sources[*member].fill_scores(first, &mut columns[*member]);
        }
        copula.correlate(columns);
        for member in &copula.members {
            self.quantiles[*member].of_correlated_scores(&mut columns[*member], table);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::distribution::{Distribution, Outcome};
    use super::{Draws, Source};
    use crate::lanes::{Column, TILE};
    use crate::uncertainty::{sobol::Coordinate, stream::Stream};

    #[test]
    fn no_number_is_drawn_beyond_its_reach() {
        let distributions = [
            Distribution::Normal { mean: 3.0, standard_deviation: 2.0 },
            Distribution::Lognormal { median: 5.0, sigma: 0.4 },
            Distribution::Uniform { min: -1.0, max: 7.0 },
            Distribution::Triangular { min: 1.0, mode: 1.0, max: 4.0 },
            Distribution::Pert { min: 2.0, mode: 7.0, max: 8.0 },
            Distribution::Discrete { outcomes: [4.0, -2.0].map(|value| Outcome { value, weight: 1.0 }).to_vec() },
        ];
        let random = |input| Source::Random(Stream::new(3, input));
        let sobol = |input| Source::Sobol(Box::new(Coordinate::new(input as usize, 3)));
        for sources in [(0..6).map(random).collect(), (0..6).map(sobol).collect()] {
            let draws = Draws::new(sources, &distributions, None);
            let mut columns = [Column::of(f64::NAN); 6];
            for tile in 0..2000 {
                draws.fill(tile * TILE as u64, &mut columns);
                for (column, reach) in columns.iter().zip(draws.reaches()) {
                    let rounding = 1e-9 * (reach.least.abs() + reach.greatest.abs());
                    let inside = |value: &f64| reach.least - rounding <= *value && *value <= reach.greatest + rounding;
                    assert!(column.iter().all(inside), "{reach:?} {column:?}");
                }
            }
        }
    }
}
