//! Log-likelihoods and their derivatives, window by window.

use std::ops::Range;

use vae_core::format::FeatureFamily;

use crate::cpu::kernel::{LN_TWO_PI, exp, map_and_sum, sigmoid_softplus, vectorised};

/// Data of a likelihood, one row a window.
#[derive(Clone, Copy)]
pub(crate) struct Observations<'a> {
    /// `[windows, features]`
    pub(crate) x: &'a [f32],
    /// `[windows, features]`: 1 where observed, else 0.
    pub(crate) observed: Option<&'a [f32]>,
    /// Values in a window.
    pub(crate) features: usize,
}

impl Observations<'_> {
    /// Calls `plain` with each row of `x` and of `output`, or `masked` with the mask's row too, and collects the results.
    #[inline(always)]
    pub(super) fn rows(
        self,
        output: &mut [f32],
        plain: impl Fn(&mut [f32], &[f32]) -> f32,
        masked: impl Fn(&mut [f32], &[f32], &[f32]) -> f32,
    ) -> Vec<f32> {
        // Loops and not adapters, whose own functions would not be compiled for this CPU.
        let mut results = vec![0.0; self.x.len() / self.features];
        let pairs = output.chunks_exact_mut(output.len() / results.len()).zip(self.x.chunks_exact(self.features));
        match self.observed {
            None => {
                for ((output, x), result) in pairs.zip(&mut results) {
                    *result = plain(output, x);
                }
            }
            Some(observed) => {
                for (((output, x), m), result) in pairs.zip(observed.chunks_exact(self.features)).zip(&mut results) {
                    *result = masked(output, x, m);
                }
            }
        }
        results
    }
}

/// `ln p(x|z)` of each window, in nats, for logits `output`, which become the derivatives with respect to them.
pub(crate) fn bernoulli(output: &mut [f32], data: Observations<'_>) -> Vec<f32> {
    #[inline(always)]
    fn term(v: f32, x: f32, weight: f32) -> ([f32; 1], f32) {
        let (sigmoid, softplus) = sigmoid_softplus(v);
        ([weight * (x - sigmoid)], weight * (x * v - softplus))
    }
    vectorised(
        #[inline(always)]
        || {
            data.rows(
                output,
                #[inline(always)]
                |output, x| map_and_sum([output], [x], |[v], [x]| term(v, x, 1.0)),
                #[inline(always)]
                |output, x, m| map_and_sum([output], [x, m], |[v], [x, m]| term(v, x, m)),
            )
        },
    )
}

/// `ln p(x|z)` of each window, in nats, for means `output` and a log-variance per feature.
pub(crate) fn gaussian(output: &mut [f32], data: Observations<'_>, log_variance: &[f32]) -> Vec<f32> {
    #[inline(always)]
    fn term(mean: f32, x: f32, precision: f32, constant: f32, weight: f32) -> ([f32; 1], f32) {
        let difference = x - mean;
        let derivative = difference * precision;
        ([weight * derivative], weight * (-0.5 * (difference * derivative + constant)))
    }
    let precision: Vec<f32> = log_variance.iter().map(|v| libm::expf(-v)).collect();
    let constant: Vec<f32> = log_variance.iter().map(|v| v + LN_TWO_PI).collect();
    let (precision, constant) = (precision.as_slice(), constant.as_slice());
    vectorised(
        #[inline(always)]
        || {
            data.rows(
                output,
                #[inline(always)]
                |output, x| {
                    map_and_sum([output], [x, precision, constant], |[mean], [x, p, c]| term(mean, x, p, c, 1.0))
                },
                #[inline(always)]
                |output, x, m| {
                    map_and_sum([output], [x, precision, constant, m], |[mean], [x, p, c, m]| term(mean, x, p, c, m))
                },
            )
        },
    )
}

/// `ln p(x|z)` of each window, in nats, for rows of means and then log-variances, which are held within `bounds`.
pub(crate) fn gaussian_predicted(output: &mut [f32], data: Observations<'_>, bounds: (f32, f32)) -> Vec<f32> {
    #[inline(always)]
    fn term([mean, free]: [f32; 2], x: f32, weight: f32, (low, high): (f32, f32)) -> ([f32; 2], f32) {
        let log_variance = free.clamp(low, high);
        let within = if log_variance == free { weight } else { 0.0 };
        let difference = x - mean;
        let derivative = difference * exp(-log_variance);
        let square = difference * derivative;
        let nats = -0.5 * (square + log_variance + LN_TWO_PI);
        ([weight * derivative, within * 0.5 * (square - 1.0)], weight * nats)
    }
    let features = data.features;
    vectorised(
        #[inline(always)]
        || {
            data.rows(
                output,
                #[inline(always)]
                |output, x| {
                    let (mean, free) = output.split_at_mut(features);
                    map_and_sum([mean, free], [x], |output, [x]| term(output, x, 1.0, bounds))
                },
                #[inline(always)]
                |output, x, m| {
                    let (mean, free) = output.split_at_mut(features);
                    map_and_sum([mean, free], [x, m], |output, [x, m]| term(output, x, m, bounds))
                },
            )
        },
    )
}

/// `ln p(x|z)` of each window, in nats, for means and logits `output`, each by its feature's family; of categories, which are 0 where they were not
/// observed, `Σ x (ln softmax(l) + ln(1 − p(other)))`.
pub(crate) fn mixed(
    output: &mut [f32],
    data: Observations<'_>,
    log_variance: &[f32],
    families: &[FeatureFamily],
) -> Vec<f32> {
    let row = |output: &mut [f32], x: &[f32], observed: Option<&[f32]>| -> f32 {
        let mut nats = 0.0;
        for range in columns(families) {
            let start = range.start;
            let weight = observed.map_or(1.0, |observed| observed[start]);
            nats += match families[start] {
                FeatureFamily::Gaussian => {
                    let difference = x[start] - output[start];
                    let derivative = difference * libm::expf(-log_variance[start]);
                    output[start] = weight * derivative;
                    -0.5 * weight * (difference * derivative + log_variance[start] + LN_TWO_PI)
                }
                FeatureFamily::Bernoulli => {
                    let (sigmoid, softplus) = sigmoid_softplus(output[start]);
                    let nats = weight * (x[start] * output[start] - softplus);
                    output[start] = weight * (x[start] - sigmoid);
                    nats
                }
                FeatureFamily::FirstCategory { log_other } => {
                    categorical(&mut output[range.clone()], &x[range], log_other)
                }
                FeatureFamily::NextCategory => f32::NAN,
            };
        }
        nats
    };
    data.rows(output, |output, x| row(output, x, None), |output, x, m| row(output, x, Some(m)))
}

/// The features of each column: one, or those of its categories.
pub(crate) fn columns(families: &[FeatureFamily]) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    families.chunk_by(|_, next| *next == FeatureFamily::NextCategory).map(move |column| {
        let range = start..start + column.len();
        start = range.end;
        range
    })
}

/// The nats of the categories of one column, for `logits`, which become the derivatives with respect to them.
fn categorical(logits: &mut [f32], x: &[f32], log_other: f32) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| libm::expf(logit - largest)).sum();
    let weight: f32 = x.iter().sum();
    let mut nats = weight * (libm::log1pf(-libm::expf(log_other)) - libm::logf(sum));
    for (logit, x) in logits.iter_mut().zip(x) {
        nats += x * (*logit - largest);
        *logit = x - weight * libm::expf(*logit - largest) / sum;
    }
    nats
}

/// Gradient of [`gaussian`] with respect to the log-variances, from the derivatives that it left, for a gradient `weights` of
/// its results.
pub(crate) fn log_variance_gradient(
    derivatives: &[f32],
    observed: Option<&[f32]>,
    weights: &[f32],
    log_variance: &[f32],
) -> Vec<f32> {
    let width = log_variance.len();
    let variance: Vec<f32> = log_variance.iter().map(|v| libm::expf(*v)).collect();
    let mut sums = vec![0.0; width];
    vectorised(
        #[inline(always)]
        || {
            for (row, (derivatives, weight)) in derivatives.chunks_exact(width).zip(weights).enumerate() {
                let parts = sums.iter_mut().zip(derivatives).zip(&variance);
                match observed {
                    None => parts.for_each(|((sum, d), v)| *sum += weight * (0.5 * (d * d * v - 1.0))),
                    Some(observed) => parts
                        .zip(&observed[row * width..][..width])
                        .for_each(|(((sum, d), v), m)| *sum += weight * (0.5 * (d * d * v - m))),
                }
            }
        },
    );
    sums
}
