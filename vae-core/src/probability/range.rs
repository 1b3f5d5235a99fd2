//! The values that features had in the training windows.

use crate::arithmetic::vector::Samples;

/// Each feature's least and largest value, in physical units.
#[derive(Clone, Copy)]
pub(crate) struct Range<'m> {
    pub(crate) least: &'m [f32],
    pub(crate) largest: &'m [f32],
    /// The score that a window outside has at most, in nats.
    pub(crate) outside: f32,
}

impl Range<'_> {
    /// The features that are outside; what is not observed is not.
    pub(crate) fn outside_of<'a>(&'a self, x: Samples<'a>) -> impl Iterator<Item = usize> + 'a {
        let limits = self.least.iter().zip(self.largest).enumerate();
        limits.filter_map(move |(feature, (least, largest))| {
            let value = x.get(feature);
            (value < *least || value > *largest).then_some(feature)
        })
    }

    /// A window's score, or that of one that is outside, if it is and that is less.
    pub(crate) fn cap(&self, nats: f32, x: Samples<'_>) -> f32 {
        let is_outside = |((x, least), largest): ((&f32, &f32), &f32)| (*x < *least) | (*x > *largest);
        let any = || match x {
            Samples::F32(x) => {
                x.iter().zip(self.least).zip(self.largest).fold(false, |any, window| any | is_outside(window))
            }
            Samples::I16(_) => self.outside_of(x).next().is_some(),
        };
        if self.outside < nats && any() { self.outside } else { nats }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_observed_and_beyond_a_limit_is_outside() {
        let range = Range { least: &[-1.0, 0.0, 5.0], largest: &[1.0, 0.0, 6.0], outside: -7.0 };
        let outside = |x: [f32; 3]| range.outside_of(Samples::F32(&x)).fold(0, |bits, feature| bits | 1 << feature);
        assert_eq!(outside([-1.0, 0.0, 6.0]), 0);
        assert_eq!(outside([1.1, f32::NAN, 4.9]), 0b101);
        assert_eq!(outside([0.0, -1e-30, 5.5]), 0b010);
        let cap = |nats, x: [f32; 3]| range.cap(nats, Samples::F32(&x));
        assert_eq!(
            [cap(-3.0, [2.0, 0.0, 5.0]), cap(-9.0, [2.0, 0.0, 5.0]), cap(-3.0, [0.0, 0.0, 5.0])],
            [-7.0, -9.0, -3.0]
        );
    }
}
