//! The decoder's likelihood `p(x|z)`.

#[cfg(feature = "covariance")]
use crate::arithmetic::number::finite;
#[cfg(feature = "covariance")]
use crate::probability::covariance::{Covariance, Factors};
#[cfg(feature = "mixed")]
use crate::probability::mixed::{Group, Mixed};
use crate::{
    arithmetic::{activation::softplus, number::clamp, vector::Samples},
    format::{error::LoadError, feature::HasFamilies, size::CHUNK},
    network::{
        error::InferError,
        fixed::power_of_two,
        layer::Outputs,
        standardise::{Standardiser, limited},
    },
};

/// The likelihood's constants, in the file's flash.
#[derive(Clone, Copy)]
pub(crate) enum Likelihood<'m> {
    /// Independent Bernoulli features; the decoder gives logits.
    #[cfg_attr(not(feature = "families"), expect(dead_code, reason = "no file has them"))]
    Bernoulli(HasFamilies),
    /// Independent Gaussian features; the decoder gives means in units of the standard deviation.
    Gaussian {
        /// To those units.
        standardiser: Standardiser<'m>,
        /// `−½ ln(2πσ²) − ln(scale)`
        log_normaliser: &'m [f32],
        /// Their sum.
        log_normaliser_sum: f32,
    },
    /// Independent Gaussian features; the decoder gives each one's standardised mean and log-variance.
    #[cfg_attr(not(feature = "families"), expect(dead_code, reason = "no file has them"))]
    Predicted {
        standardiser: Standardiser<'m>,
        /// `−½ ln(2π) − ln(scale)`
        log_normaliser: &'m [f32],
        /// The log-variance is limited to the range between these.
        bounds: (f32, f32),
        _has: HasFamilies,
    },
    /// Independent columns, each with its family; the decoder gives means in units of the standard deviation, and logits.
    #[cfg(feature = "mixed")]
    Mixed(Mixed<'m>),
    /// Gaussian features that vary together.
    #[cfg(feature = "covariance")]
    Covariance(Covariance<'m>),
}

/// What a chunk of the decoder's outputs leaves to the next: the column of categories that it ends within, what it tells of factors.
#[derive(Clone, Copy, Default)]
pub(crate) struct Open {
    #[cfg(feature = "mixed")]
    pub(crate) group: Group,
    #[cfg(feature = "covariance")]
    pub(crate) factors: Factors,
}

/// Takes each feature, and the nats that it costs.
pub(crate) trait Costs {
    fn add(&mut self, feature: usize, nats: f32);
}

impl<F: FnMut(usize, f32)> Costs for F {
    fn add(&mut self, feature: usize, nats: f32) {
        self(feature, nats);
    }
}

impl Likelihood<'_> {
    /// Refuses values outside `[0, 1]` where the likelihood is Bernoulli, or categorical.
    pub(crate) fn check(&self, x: Samples<'_>) -> Result<(), InferError> {
        #[cfg(feature = "mixed")]
        if let Self::Mixed(mixed) = self {
            return mixed.check(x);
        }
        if matches!(self, Self::Bernoulli(_)) {
            for feature in 0..x.len() {
                let value = x.get(feature);
                if !value.is_nan() && !(0.0..=1.0).contains(&value) {
                    return Err(InferError::OutsideUnitInterval { feature, value });
                }
            }
        }
        Ok(())
    }

    /// Gives the nats that each observed feature costs to `each`, from the decoder's outputs from `start` on; see
    /// [`Model::attribute`](crate::Model::attribute).
    /// `open` is what the chunk before has left. None where the standardiser does not fit `x`.
    pub(crate) fn costs(
        &self,
        x: Samples<'_>,
        start: usize,
        outputs: Outputs<'_>,
        chunk: &mut [f32; CHUNK],
        open: &mut Open,
        each: &mut impl Costs,
    ) -> Option<()> {
        #[cfg(feature = "mixed")]
        if let Self::Mixed(mixed) = self {
            let each = &mut |feature, nats| each.add(feature, nats);
            return mixed.costs(x, start, outputs, chunk, &mut open.group, each);
        }
        #[cfg(feature = "covariance")]
        if let Self::Covariance(covariance) = self {
            return covariance.for_each(
                x,
                start,
                outputs,
                chunk,
                &mut open.factors,
                &mut |feature, square, variance| {
                    if let Some(square) = square {
                        each.add(feature, finite(0.5 * square / variance));
                    }
                },
            );
        }
        let Open { .. } = open;
        // One place that calls `each`, so that it is inlined where code is to be small: an alarm waits for it.
        let mut give = |costs: &[f32], first: usize| {
            for (index, &nats) in costs.iter().enumerate() {
                if !nats.is_nan() {
                    each.add(first + index, nats);
                }
            }
        };
        match self {
            Self::Bernoulli(_) => {
                let logits = outputs.numbers();
                for ((feature, cost), &logit) in (start..).zip(chunk.iter_mut()).zip(logits.iter()) {
                    *cost = softplus(logit) - x.get(feature) * logit;
                }
                give(chunk.get(..logits.len())?, start);
            }
            Self::Gaussian { standardiser, .. } => {
                let costs = standardiser.apply(x, start, chunk)?;
                costs.iter_mut().zip(outputs.numbers().iter()).for_each(|(cost, mean)| {
                    let difference = limited(*cost) - mean;
                    *cost = 0.5 * difference * difference;
                });
                give(costs, start);
            }
            Self::Predicted { standardiser, bounds, .. } => {
                let costs = standardiser.apply(x, start / 2, chunk)?;
                for (cost, [mean, output]) in costs.iter_mut().zip(outputs.numbers().as_chunks::<2>().0) {
                    let difference = limited(*cost) - mean;
                    *cost = 0.5 * difference * difference * libm::expf(-clamp(*output, *bounds));
                }
                give(costs, start / 2);
            }
            #[cfg(feature = "mixed")]
            Self::Mixed(_) => {}
            #[cfg(feature = "covariance")]
            Self::Covariance(_) => {}
        }
        Some(())
    }

    /// Gives each observed feature and by how much it is off its reconstruction, in its own unit and within `reach` of its standard
    /// deviations to each side, to `each`, from the decoder's outputs from `start` on; none where features have no levels, or not all of them.
    /// None where the standardiser does not fit `x`.
    pub(crate) fn residuals(
        &self,
        x: Samples<'_>,
        start: usize,
        outputs: Outputs<'_>,
        chunk: &mut [f32; CHUNK],
        reach: f32,
        each: &mut dyn FnMut(usize, f32),
    ) -> Option<()> {
        let mut give = |feature: usize, difference: f32, reach: f32, standardiser: &Standardiser<'_>| {
            if let (Some(inverse), false) = (standardiser.inverse_scale.get(feature), difference.is_nan()) {
                each(feature, clamp(difference, (-reach, reach)) / inverse);
            }
        };
        match self {
            Self::Bernoulli(_) => {}
            #[cfg(feature = "mixed")]
            Self::Mixed(_) => {}
            Self::Gaussian { standardiser, .. } => {
                let x = standardiser.apply(x, start, chunk)?;
                for ((feature, x), mean) in (start..).zip(x.iter()).zip(outputs.numbers()) {
                    give(feature, x - mean, reach, standardiser);
                }
            }
            Self::Predicted { standardiser, bounds, .. } => {
                let x = standardiser.apply(x, start / 2, chunk)?;
                let pairs = outputs.numbers().as_chunks::<2>().0;
                for ((feature, x), [mean, output]) in (start / 2..).zip(x.iter()).zip(pairs) {
                    give(feature, x - mean, reach * libm::expf(0.5 * clamp(*output, *bounds)), standardiser);
                }
            }
            #[cfg(feature = "covariance")]
            Self::Covariance(covariance) => {
                let each =
                    &mut |feature, off, deviation| give(feature, off, reach * deviation, &covariance.standardiser);
                covariance.residuals(x, start, outputs, chunk, each)?;
            }
        }
        Some(())
    }

    /// Writes the differences between a window and the decoder's outputs from `start` on to `differences`, from there on, in the likelihood's
    /// standard deviations; where its variance is predicted, or features have none, they stay.
    /// None where the standardiser does not fit `x`.
    pub(crate) fn differences(
        &self,
        x: Samples<'_>,
        start: usize,
        outputs: &Outputs<'_>,
        chunk: &mut [f32; CHUNK],
        differences: &mut [f32],
    ) -> Option<()> {
        if let Self::Gaussian { standardiser, .. } = self {
            let slots = differences.iter_mut().skip(start).zip(standardiser.apply(x, start, chunk)?);
            match outputs {
                Outputs::F32(means) => {
                    slots.zip(means.iter()).for_each(|((slot, x), mean)| *slot = limited(*x) - mean);
                }
                Outputs::Fixed { values, exponent, .. } => {
                    let unit = power_of_two(*exponent);
                    slots.zip(values.iter()).for_each(|((slot, x), mean)| *slot = limited(*x) - *mean as f32 * unit);
                }
            }
        }
        Some(())
    }

    /// What an ordinary observation of a feature adds to the log-likelihood beside what it costs and what depends on the window.
    ///
    /// # Errors
    /// [`LoadError::Shape`] if the model has no such feature.
    pub(crate) fn log_normaliser(&self, feature: usize) -> Result<f32, LoadError> {
        let log_normaliser = match self {
            Self::Bernoulli(_) => return Ok(0.0),
            Self::Gaussian { log_normaliser, .. } | Self::Predicted { log_normaliser, .. } => log_normaliser,
            #[cfg(feature = "mixed")]
            Self::Mixed(mixed) => mixed.log_normaliser,
            #[cfg(feature = "covariance")]
            Self::Covariance(covariance) => covariance.log_normaliser,
        };
        let (expected, found) = (feature, log_normaliser.len());
        log_normaliser.get(feature).copied().ok_or(LoadError::Shape { expected, found })
    }
}

#[cfg(test)]
#[cfg(feature = "families")]
mod tests {
    use super::*;

    /// Its square is ⅛.
    #[cfg(feature = "covariance")]
    const EIGHTH: f32 = 0.353_553_4;

    #[test]
    fn residuals_are_distances_from_the_reconstruction_in_the_features_unit() {
        // Mean 1, scale ½ and σ² = ¼ of the standardised: a deviation is ¼, and a decoder's 2 stands for 1 + 2 · ¼.
        let standardiser = plain(&[1.0, 1.0, 1.0], &[4.0, 4.0, 4.0]);
        let gaussian = Likelihood::Gaussian { standardiser, log_normaliser: &[0.0; 3], log_normaliser_sum: 0.0 };
        let predicted = Likelihood::Predicted {
            standardiser: plain(&[1.0, 1.0, 1.0], &[2.0, 2.0, 2.0]),
            log_normaliser: &[0.0; 3],
            bounds: (-6.0, 6.0),
            _has: (),
        };
        // ln ¼, of the standardised: the same deviation.
        let variance = -2.0 * core::f32::consts::LN_2;
        let cases = [
            (gaussian, &mut [2.0, 2.0, 2.0][..]),
            (predicted, &mut [1.0, variance, 1.0, variance, 1.0, variance]),
            // Half of it a feature's own, and half of it by a factor.
            #[cfg(feature = "covariance")]
            (
                Likelihood::Covariance(
                    Covariance::new(1, plain(&[1.0; 3], &[2.0; 3]), &[0.0; 3], (-6.0, 6.0)).unwrap(),
                ),
                &mut [1.0, 1.5 * variance, EIGHTH, 1.0, 1.5 * variance, -EIGHTH, 1.0, 1.5 * variance, EIGHTH],
            ),
        ];
        for (likelihood, outputs) in cases {
            let mut found = [f32::NAN; 3];
            let x = Samples::F32(&[1.7, f32::NAN, -50.0]);
            let mut each = |feature: usize, off| found[feature] = off;
            likelihood.residuals(x, 0, Outputs::F32(outputs), &mut [0.0; CHUNK], 4.0, &mut each).unwrap();
            assert!((found[0] - 0.2).abs() < 1e-6 && found[1].is_nan() && (found[2] + 1.0).abs() < 1e-6, "{found:?}");
        }
    }

    fn plain(mean: &'static [f32], inverse_scale: &'static [f32]) -> Standardiser<'static> {
        Standardiser { mean, inverse_scale }
    }
}
