//! Mean, spread and range of a column, in one pass.

/// A channel whose standard deviation is below this fraction of its largest magnitude is constant.
const CONSTANT: f64 = 1e-6;

/// Scale of a constant column as a fraction of its value, 32 to 64 of the steps that `f32` has there: a last digit that was rounded otherwise is
/// as good as none.
const CONSTANT_SCALE: f64 = 1.0 / (1 << 18) as f64;
/// Least scale of a constant column, in the smallest standard deviation of the others, or in ones where that is smaller: beside what is
/// measured in volts, another residue of rounding is no event.
const LEAST_SCALE: f64 = 1e-6;
/// Scale of a column that is always 0, whose own size tells nothing, in the same unit.
const ZERO_SCALE: f64 = 1e-3;
/// Scales by which a constant column must change for any model to take that for an anomaly: 128 nats of a unit Gaussian.
const SEEN: f64 = 16.0;

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

    /// The scale by which a constant column is watched, beside columns whose smallest standard deviation is `smallest`.
    pub(crate) fn constant_scale(&self, smallest: f64) -> f64 {
        let others = smallest.min(1.0);
        let scale = match self.mean.abs() {
            0.0 => ZERO_SCALE * others,
            value => (CONSTANT_SCALE * value).max(LEAST_SCALE * others),
        };
        scale.max(self.deviation())
    }

    /// The least change of a constant column that counts as an anomaly, beside columns whose smallest standard deviation is `smallest`: in two
    /// digits, rounded up.
    pub(crate) fn least_change(&self, smallest: f64) -> f64 {
        let change = SEEN * self.constant_scale(smallest);
        let digit = 10f64.powi(libm::log10(change).floor() as i32 - 1);
        (change / digit).ceil() * digit
    }
}

/// The smallest standard deviation of the columns that vary; infinite where none does.
pub(crate) fn smallest_deviation(columns: &[Moments]) -> f64 {
    let varying = columns.iter().filter(|moments| !moments.is_constant());
    varying.map(Moments::deviation).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn always(value: f32) -> Moments {
        Moments::of(std::iter::repeat_n(&[value][..], 100), 1)[0]
    }

    #[test]
    fn a_constant_column_is_watched_by_the_digits_that_it_has() {
        for value in [50.0f32, -0.3, 2048.0, 1e-12, 1e30] {
            let constant = always(value);
            assert!(constant.is_constant());
            let step = f64::from(f32::from_bits(value.to_bits() + 1) - value).abs();
            let scale = constant.constant_scale(0.0);
            assert!(scale >= 31.9 * step && scale <= 64.1 * step, "{value}: {scale} {step}");
            let change = constant.least_change(0.0) / (f64::from(value.abs()) / 16384.0);
            assert!((1.0..1.1).contains(&change), "{value}: {change}");
        }
        // A setpoint, a flag, a count of 12 bits: what a user sees as another value is one.
        assert!(always(50.0).least_change(1e3) < 0.1 && always(1.0).least_change(1e3) < 1.0);
        assert!(always(0.0).least_change(5000.0) < 1.0 && always(4095.0).least_change(1.0) < 1.0);
        // A residue of rounding beside volts, and zeros beside nanoamperes.
        assert!(always(1e-17).least_change(1.0) > 1e-6 && always(0.0).least_change(1e-9) < 1e-10);
    }
}
