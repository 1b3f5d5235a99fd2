//! Numbers with all that rounding to `f32` may have made of them, and what is decided by them.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// Of `f32`: half the distance from 1 to the next number.
pub(crate) const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// The least number of `f32`: what is smaller is rounded to a multiple of it.
const LEAST: f64 = 1.5e-45;

/// A number in `f64`, and the ends of an interval that holds what a computation in `f32` makes of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Enclosed {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Enclosed {
    /// A number that `f32` holds as it is.
    pub(crate) const fn exact(value: f64) -> Self {
        Self { value, low: value, high: value }
    }

    /// A number that is rounded once.
    pub(crate) fn about(value: f64) -> Self {
        Self::exact(value).rounded()
    }

    pub(crate) fn within(value: f64, error: f64) -> Self {
        Self { value, low: value - error, high: value + error }
    }

    /// Each end is moved by the rounding of the result there.
    fn rounded(self) -> Self {
        let Self { value, low, high } = self;
        Self { value, low: low - UNIT * low.abs() - LEAST, high: high + UNIT * high.abs() + LEAST }
    }

    /// What a function that does not fall makes of it, by what it makes of the value and of the ends. Where the number stands in `of` more
    /// than once, this does not lose that it is the same number each time: an average's error decays.
    pub(crate) fn through(self, of: impl Fn(Self) -> Self) -> Self {
        let [low, high] = [self.low, self.high].map(Self::exact);
        Self { value: of(Self::exact(self.value)).value, low: of(low).low, high: of(high).high }
    }

    fn of_ends(value: f64, ends: [f64; 4]) -> Self {
        let [low, high] = [f64::min, f64::max].map(|choose| ends.into_iter().reduce(choose).unwrap_or(value));
        Self { value, low, high }.rounded()
    }

    pub(crate) fn min(self, other: Self) -> Self {
        Self { value: self.value.min(other.value), low: self.low.min(other.low), high: self.high.min(other.high) }
    }

    pub(crate) fn max(self, other: Self) -> Self {
        -(-self).min(-other)
    }

    pub(crate) fn clamp(self, low: Self, high: Self) -> Self {
        self.max(low).min(high)
    }

    pub(crate) fn abs(self) -> Self {
        self.max(-self).max(Self::exact(0.0))
    }

    /// Correctly rounded.
    pub(crate) fn sqrt(self) -> Self {
        Self { value: self.value.sqrt(), low: self.low.max(0.0).sqrt(), high: self.high.sqrt() }.rounded()
    }

    /// To one unit in the last place, two half ones.
    pub(crate) fn ln(self) -> Self {
        Self { value: self.value.ln(), low: self.low.ln(), high: self.high.ln() }.rounded().rounded()
    }

    /// Whether it is greater than `other`.
    pub(crate) fn above(self, other: Self) -> Decision {
        Decision { value: self.value > other.value, is_sure: self.low > other.high, is_possible: self.high > other.low }
    }

    pub(crate) fn holds(self, found: f64) -> bool {
        self.low <= found && found <= self.high
    }
}

impl From<f32> for Enclosed {
    fn from(value: f32) -> Self {
        Self::exact(value.into())
    }
}

impl Neg for Enclosed {
    type Output = Self;

    fn neg(self) -> Self {
        Self { value: -self.value, low: -self.high, high: -self.low }
    }
}

impl Add for Enclosed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (low, high) = (self.low + other.low, self.high + other.high);
        Self { value: self.value + other.value, low, high }.rounded()
    }
}

impl Sub for Enclosed {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Enclosed {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let ends = [(self.low, other.low), (self.low, other.high), (self.high, other.low), (self.high, other.high)];
        Self::of_ends(self.value * other.value, ends.map(|(a, b)| a * b))
    }
}

impl Div for Enclosed {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let ends = [(self.low, other.low), (self.low, other.high), (self.high, other.low), (self.high, other.high)];
        Self::of_ends(self.value / other.value, ends.map(|(a, b)| a / b))
    }
}

/// What is decided by enclosed numbers: in `f64`, whether it is so whatever rounding does, and whether rounding can make it so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) value: bool,
    pub(crate) is_sure: bool,
    pub(crate) is_possible: bool,
}

impl Decision {
    pub(crate) const fn of(value: bool) -> Self {
        Self { value, is_sure: value, is_possible: value }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            value: self.value && other.value,
            is_sure: self.is_sure && other.is_sure,
            is_possible: self.is_possible && other.is_possible,
        }
    }

    pub(crate) fn not(self) -> Self {
        Self { value: !self.value, is_sure: !self.is_possible, is_possible: !self.is_sure }
    }

    pub(crate) fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    pub(crate) fn is_open(self) -> bool {
        self.is_sure != self.is_possible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_f32_computes_is_enclosed() {
        let (a, b, c) = (0.1f32, 3.7f32, -1e-3f32);
        let [x, y, z] = [a, b, c].map(Enclosed::from);
        for (enclosed, found) in [
            ((x + y) * z, (a + b) * c),
            ((x - y) / z - x, (a - b) / c - a),
            ((x * z).abs().sqrt(), (a * c).abs().sqrt()),
            ((y / x).ln(), (b / a).ln()),
            ((z - y).clamp(-x, x), (c - b).clamp(-a, a)),
        ] {
            assert!(enclosed.holds(found.into()) && enclosed.holds(enclosed.value), "{enclosed:?}, {found}");
            assert!(enclosed.high - enclosed.low < 20.0 * UNIT * enclosed.value.abs(), "{enclosed:?}");
        }
    }

    #[test]
    fn an_averages_error_decays_and_a_sums_does_not() {
        let start = Enclosed::within(1.0, 0.1);
        let quarter = Enclosed::exact(0.25);
        let average = |x: Enclosed| x + quarter * (Enclosed::exact(2.0) - x);
        let [averaged, naive] = [start.through(average), average(start)].map(|x| x.high - x.low);
        assert!((averaged - 0.15).abs() < 1e-6 && naive > 0.2, "{averaged}, {naive}");
        // A step of a limited length, which has the same end from anywhere.
        let limited = |x: Enclosed| x + (Enclosed::exact(9.0) - x).clamp(-quarter, quarter);
        let width = start.through(limited);
        assert!((width.high - width.low - 0.2).abs() < 1e-6, "{width:?}");
    }

    #[test]
    fn decisions_within_rounding_are_open() {
        let [one, wide, two] = [Enclosed::exact(1.0), Enclosed::within(1.5, 0.6), Enclosed::exact(2.0)];
        assert_eq!(two.above(one), Decision::of(true));
        assert_eq!(one.above(one), Decision::of(false));
        assert!(wide.above(two).is_open() && wide.above(one).is_open());
        assert_eq!(wide.above(two).and(Decision::of(false)), Decision::of(false));
        assert_eq!(wide.above(one).or(Decision::of(true)), Decision::of(true));
        assert!(!wide.above(two).value && wide.above(two).not().value);
    }
}
