//! Sums over blocks of samples: all that is kept of them, whatever their number.

/// How many blocks there are at most; as many are drawn again for each bootstrap.
const MAX_BLOCKS: u64 = 1024;

/// Sums of one metric over a block: rows, Σa, Σb, Σa² + Σb², and for each input Σ b (c − a) and Σ (a − c)², where a, b
/// and c are the values, less a typical one, in the first sample, the second, and the first with one input of the second.
pub(crate) type Sums = [f64];

const PLAIN: usize = 4;

/// The sums of all blocks, of each metric.
#[derive(Debug, Clone)]
pub(crate) struct Blocks {
    /// Samples in a block; the last may have fewer.
    size: u64,
    samples: u64,
    metrics: usize,
    width: usize,
    sums: Vec<f64>,
}

impl Blocks {
    pub fn of(samples: u64, metrics: usize, inputs: usize) -> Self {
        let size = samples.div_ceil(MAX_BLOCKS).max(1);
        Self::sized(size, samples, metrics, PLAIN + 2 * inputs)
    }

    fn sized(size: u64, samples: u64, metrics: usize, width: usize) -> Self {
        let count = samples.div_ceil(size) as usize;
        Self { size, samples, metrics, width, sums: vec![0.0; count * metrics * width] }
    }

    /// Blocks for some of the samples, from the beginning of a block on.
    pub fn part(&self, samples: u64) -> Self {
        Self::sized(self.size, samples, self.metrics, self.width)
    }

    /// Puts a part into its place; `first` is its first sample.
    pub fn put(&mut self, first: u64, part: Self) {
        let at = (first / self.size) as usize * self.metrics * self.width;
        self.sums[at..at + part.sums.len()].copy_from_slice(&part.sums);
    }

    /// Samples of a chunk: whole blocks, about 2,048 samples.
    pub fn chunk(&self) -> u64 {
        (2048 / self.size).max(1) * self.size * self.whole_tiles()
    }

    /// How many times a chunk must be taken so that it ends with a tile.
    fn whole_tiles(&self) -> u64 {
        let chunk = (2048 / self.size).max(1) * self.size;
        let mut times = 1;
        while !(chunk * times).is_multiple_of(crate::lanes::TILE as u64) {
            times *= 2;
        }
        times
    }

    /// How many blocks there are.
    pub fn count(&self) -> usize {
        self.samples.div_ceil(self.size) as usize
    }

    /// How many inputs there are.
    pub fn inputs(&self) -> usize {
        (self.width - PLAIN) / 2
    }

    /// How many metrics there are.
    pub fn metrics(&self) -> usize {
        self.metrics
    }

    /// The sums of the block of a sample, counted from the first of this part.
    #[inline(always)]
    pub fn at(&mut self, sample: u64, metric: usize) -> &mut Sums {
        let at = ((sample / self.size) as usize * self.metrics + metric) * self.width;
        &mut self.sums[at..at + self.width]
    }

    /// The sums of one block.
    pub fn block(&self, block: usize, metric: usize) -> &Sums {
        let at = (block * self.metrics + metric) * self.width;
        &self.sums[at..at + self.width]
    }

    /// The sums of all blocks.
    pub fn total(&self, metric: usize) -> Block {
        let mut total = Block::empty(self.inputs());
        for block in 0..self.count() {
            total.add(self.block(block, metric));
        }
        total
    }
}

/// Adds a row of the scheme to its block: a, b, and c for each input.
#[inline(always)]
pub(crate) fn add_row(sums: &mut Sums, a: f64, b: f64, c: impl Iterator<Item = f64>) {
    sums[0] += 1.0;
    sums[1] += a;
    sums[2] += b;
    sums[3] += a * a + b * b;
    for (pair, c) in sums[PLAIN..].chunks_exact_mut(2).zip(c) {
        pair[0] += b * (c - a);
        pair[1] += (a - c) * (a - c);
    }
}

/// Sums of several blocks together.
#[derive(Debug, Clone)]
pub(crate) struct Block(Vec<f64>);

impl Block {
    pub fn empty(inputs: usize) -> Self {
        Self(vec![0.0; PLAIN + 2 * inputs])
    }

    pub fn clear(&mut self) {
        self.0.fill(0.0);
    }

    pub fn add(&mut self, sums: &Sums) {
        for (sum, more) in self.0.iter_mut().zip(sums) {
            *sum += more;
        }
    }

    pub fn rows(&self) -> u64 {
        self.0[0] as u64
    }

    /// The variance of all values of both samples.
    ///
    /// # Formula
    ///
    /// `V = (Σa² + Σb²) / 2n − ((Σa + Σb) / 2n)²`
    pub fn variance(&self) -> Option<f64> {
        let both = 2.0 * self.0[0];
        let mean = (self.0[1] + self.0[2]) / both;
        let mean_square = self.0[3] / both;
        let variance = mean_square - mean * mean;
        // Below the rounding of the sums a variance says nothing.
        (variance.is_finite() && variance > 1e-14 * mean_square).then_some(variance)
    }

    /// First and total order of an input; none where nothing varies.
    ///
    /// # Formula
    ///
    /// `S = (Σ b (c − a) / n) / V` and `T = (Σ (a − c)² / 2n) / V`. Values are counted from a typical one: with a large mean the
    /// first sum would be small beside its own scatter.
    pub fn indices(&self, input: usize) -> Option<(f64, f64)> {
        let variance = self.variance()?;
        let n = self.0[0];
        let first = self.0[PLAIN + 2 * input] / n / variance;
        let total = self.0[PLAIN + 2 * input + 1] / (2.0 * n) / variance;
        (first.is_finite() && total.is_finite()).then_some((first, total))
    }
}
