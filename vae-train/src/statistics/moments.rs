//! Mean, spread and range of a column, in one pass.

/// A channel whose standard deviation is below this fraction of its largest magnitude is constant.
const CONSTANT: f64 = 1e-6;

/// Share of a column's variance above which a single value is pointed out.
const ALONE: f64 = 0.999;

/// Running moments of one column (Welford 1962).
#[derive(Clone, Copy, Default)]
pub(crate) struct Moments {
    pub(crate) count: f64,
    pub(crate) mean: f64,
    squares: f64,
    pub(crate) least: f64,
    pub(crate) largest: f64,
}

impl Moments {
    pub(crate) fn of<'a>(samples: impl Iterator<Item = &'a [f32]>, columns: usize) -> Vec<Self> {
        let mut moments = vec![Self::default(); columns];
        for sample in samples {
            for (moments, &value) in moments.iter_mut().zip(sample) {
                moments.push(f64::from(value));
            }
        }
        moments
    }

    pub(crate) fn push(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        self.count += 1.0;
        let difference = value - self.mean;
        self.mean += difference / self.count;
        self.squares += difference * (value - self.mean);
        let is_first = self.count == 1.0;
        (self.least, self.largest) =
            if is_first { (value, value) } else { (self.least.min(value), self.largest.max(value)) };
    }

    pub(crate) fn deviation(&self) -> f64 {
        (self.squares / self.count).sqrt()
    }

    /// The value that makes up nearly all of the variance by itself, if there is one.
    pub(crate) fn outlier(&self) -> Option<f64> {
        let [above, below] = [self.largest - self.mean, self.mean - self.least];
        let (value, distance) = if above > below { (self.largest, above) } else { (self.least, below) };
        // One value at distance d from the mean of all n brings d² n / (n − 1) of the sum of squares.
        (distance * distance * self.count / (self.count - 1.0) > ALONE * self.squares).then_some(value)
    }

    pub(crate) fn is_constant(&self) -> bool {
        // Not `<=`: a column without a single value has a NaN deviation.
        let magnitude = self.largest.max(-self.least);
        !(self.deviation() > CONSTANT * magnitude && self.deviation() > f64::from(f32::MIN_POSITIVE))
    }
}
