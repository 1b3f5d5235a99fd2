//! The latents of a diagonal Gaussian posterior in a step: a sample of each window and its KL to the prior, and their gradients.
//!
//! In the order in which the chains of `model::posterior` and `model::prior` compute them, so with the same bits.

use burn::backend::flex::FlexTensor;
use libm::{expf, logf};
use vae_core::LOG_VARIANCE_LIMIT;

use crate::cpu::{
    kernel::LN_TWO_PI,
    product::{product, transposed},
    tensor::matrix,
};

/// `[rows, columns]`
fn rows_of(values: Vec<f32>, columns: usize) -> FlexTensor {
    let rows = values.len() / columns;
    matrix(values, [rows, columns])
}

fn sum(values: impl Iterator<Item = f32>) -> f32 {
    values.fold(0.0, |sum, v| sum + v)
}

/// `v` where it is within ± the limit, the nearer end where it is not.
fn limited(v: f32, limit: f32) -> f32 {
    v.clamp(-limit, limit)
}

/// `gradient`, which stops where `v` is beyond ± the limit.
fn within(v: f32, limit: f32, gradient: f32) -> f32 {
    if v > limit || v < -limit { 0.0 } else { gradient }
}

/// A posterior's latents, one row a window.
pub(crate) struct Latents<'a> {
    latent: usize,
    /// The encoder's: means and log-variances.
    outputs: &'a [f32],
    noise: &'a [f32],
    mean: Vec<f32>,
    /// Within the limits.
    log_variance: Vec<f32>,
    variance: Vec<f32>,
    deviation: Vec<f32>,
}

impl<'a> Latents<'a> {
    /// Of the encoder's `outputs`, `[rows, 2 latent]`, by `noise`, `[rows, latent]`.
    pub(crate) fn new(outputs: &'a [f32], noise: &'a [f32], latent: usize) -> Self {
        let rows = || outputs.chunks_exact(2 * latent);
        let mean: Vec<f32> = rows().flat_map(|row| &row[..latent]).copied().collect();
        let log_variance: Vec<f32> =
            rows().flat_map(|row| &row[latent..]).map(|v| limited(*v, LOG_VARIANCE_LIMIT)).collect();
        let variance = log_variance.iter().map(|v| expf(*v)).collect();
        let deviation = log_variance.iter().map(|v| expf(v * 0.5)).collect();
        Self { latent, outputs, noise, mean, log_variance, variance, deviation }
    }

    /// `z = μ + σ ε`
    pub(crate) fn sample(&self) -> impl Iterator<Item = f32> {
        self.mean.iter().zip(&self.deviation).zip(self.noise).map(|((mean, deviation), noise)| mean + deviation * noise)
    }

    /// The sum over the rows of the KL to `N(0, I)`, and its gradient by means and log-variances where it weighs `weight`.
    pub(crate) fn standard_kl(&self, weight: f32) -> (f32, [Vec<f32>; 2]) {
        let each = self.mean.iter().zip(&self.log_variance).zip(&self.variance);
        let nats = each.map(|((mean, log_variance), variance)| (variance - (log_variance + 1.0) + mean * mean) * 0.5);
        let half = weight * 0.5;
        let by_mean = self.mean.iter().map(|mean| half * mean + half * mean).collect();
        let by_log_variance = self.variance.iter().map(|variance| half * variance - half).collect();
        (sum(nats), [by_mean, by_log_variance])
    }

    /// The gradient by the encoder's outputs, of that of the sample and those of a KL by means and log-variances.
    pub(crate) fn gradient(&self, by_sample: &[f32], [by_mean, by_log_variance]: [Vec<f32>; 2]) -> Vec<f32> {
        let latent = self.latent;
        let mut gradient = vec![0.0; self.outputs.len()];
        for (row, found) in gradient.chunks_exact_mut(2 * latent).enumerate() {
            let outputs = &self.outputs[2 * latent * row..];
            for index in 0..latent {
                let at = latent * row + index;
                found[index] = by_mean[at] + by_sample[at];
                let through_sample = by_sample[at] * self.noise[at] * self.deviation[at] * 0.5;
                let found_here = by_log_variance[at] + through_sample;
                found[latent + index] = within(outputs[latent + index], LOG_VARIANCE_LIMIT, found_here);
            }
        }
        gradient
    }
}

/// A mixture of diagonal Gaussians, as a step has it.
pub(crate) struct Mixture<'a> {
    latent: usize,
    /// Beyond ± this, log-variances are this.
    limit: f32,
    /// `[components, latent]`
    centre: &'a [f32],
    /// `[components, latent]`, as they are learned.
    log_variance: &'a [f32],
    precision: Vec<f32>,
    /// `m / s²`
    scaled: Vec<f32>,
    /// `exp` of the logits less the largest, and its sum.
    chances: (Vec<f32>, f32),
    /// What of each component's `ln πₖ N(z; mₖ, sₖ²)` does not depend on z.
    constant: Vec<f32>,
}

/// The sum over the rows of the KL to a mixture, and its gradients.
pub(crate) struct MixtureKl {
    pub(crate) nats: f32,
    /// By the posterior's means and log-variances.
    pub(crate) by_latents: [Vec<f32>; 2],
    /// By the prior's logits, means and log-variances.
    pub(crate) by_prior: [Vec<f32>; 3],
}

impl<'a> Mixture<'a> {
    /// Of logits, one a component, means and log-variances.
    pub(crate) fn new(logits: &[f32], centre: &'a [f32], log_variance: &'a [f32], limit: f32) -> Self {
        let latent = centre.len() / logits.len();
        let limited: Vec<f32> = log_variance.iter().map(|v| limited(*v, limit)).collect();
        let precision: Vec<f32> = limited.iter().map(|v| expf(-v)).collect();
        let scaled: Vec<f32> = centre.iter().zip(&precision).map(|(m, p)| m * p).collect();
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let chances: Vec<f32> = logits.iter().map(|v| expf(v - largest)).collect();
        let total = sum(chances.iter().copied());
        let constant = logits.iter().enumerate().map(|(component, logit)| {
            let of = latent * component..latent * (component + 1);
            let own = sum(of.map(|at| limited[at] + centre[at] * scaled[at] + LN_TWO_PI));
            (logit - largest - logf(total)) - own * 0.5
        });
        let constant = constant.collect();
        Self { latent, limit, centre, log_variance, precision, scaled, chances: (chances, total), constant }
    }

    /// The upper bound of the KL, which weighs `weight` in the gradients.
    ///
    /// # Source
    /// See `model::posterior::kl_to_mixture`.
    pub(crate) fn kl(&self, latents: &Latents<'_>, weight: f32) -> MixtureKl {
        let (latent, components) = (self.latent, self.constant.len());
        let square: Vec<f32> = latents.mean.iter().zip(&latents.variance).map(|(m, v)| m * m + v).collect();
        let [mean, square] = [latents.mean.clone(), square].map(|values| rows_of(values, latent));
        let [scaled, precision] = [&self.scaled, &self.precision].map(|values| rows_of(values.clone(), latent));
        let by_mean = product(&mean, &transposed(scaled.clone()));
        let by_square = product(&square, &transposed(precision.clone()));
        let mut terms: Vec<f32> =
            by_mean.storage::<f32>().iter().zip(by_square.storage::<f32>()).map(|(m, s)| m - s * 0.5).collect();

        let mut nats = 0.0;
        let entropy_constant = latent as f32 * (1.0 + LN_TWO_PI);
        for (terms, log_variance) in terms.chunks_exact_mut(components).zip(latents.log_variance.chunks_exact(latent)) {
            terms.iter_mut().zip(&self.constant).for_each(|(term, constant)| *term += constant);
            let largest = terms.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            terms.iter_mut().for_each(|term| *term = expf(*term - largest));
            let total = sum(terms.iter().copied());
            let entropy = (sum(log_variance.iter().copied()) + entropy_constant) * 0.5;
            nats += -entropy - (logf(total) + largest);
            // From here on the gradient by each term.
            let share = -weight * (1.0 / total);
            terms.iter_mut().for_each(|term| *term *= share);
        }

        let halves = rows_of(terms.iter().map(|term| -term * 0.5).collect(), components);
        let terms = rows_of(terms, components);
        let (by_mean, by_square) = (product(&terms, &scaled), product(&halves, &precision));
        let (by_mean, by_square): (&[f32], &[f32]) = (by_mean.storage(), by_square.storage());
        let squared = by_square.iter().zip(&latents.mean).map(|(square, mean)| square * mean);
        let of_mean = by_mean.iter().zip(squared).map(|(by_mean, twice)| twice + twice + by_mean).collect();
        let entropy = -weight * 0.5;
        let of_log_variance =
            by_square.iter().zip(&latents.variance).map(|(square, variance)| square * variance + entropy).collect();

        let by_scaled = product(&transposed(mean), &terms);
        let by_precision = product(&transposed(square), &halves);
        let by_prior = self.gradient(terms.storage(), by_scaled.storage(), by_precision.storage());
        MixtureKl { nats, by_latents: [of_mean, of_log_variance], by_prior }
    }

    /// By logits, means and log-variances, of the gradients by the terms, `[rows, components]`, and by `m / s²` and `1 / s²`,
    /// `[latent, components]`.
    fn gradient(&self, terms: &[f32], by_scaled: &[f32], by_precision: &[f32]) -> [Vec<f32>; 3] {
        let components = self.constant.len();
        let mut by_constant = vec![0.0; components];
        for row in terms.chunks_exact(components) {
            by_constant.iter_mut().zip(row).for_each(|(sum, term)| *sum += term);
        }
        let (chances, total) = &self.chances;
        let share = sum(by_constant.iter().map(|v| -v)) * (1.0 / total);
        let by_logits = by_constant.iter().zip(chances).map(|(v, chance)| v + share * chance).collect();
        let [mut by_centre, mut by_log_variance] = [(); 2].map(|()| vec![0.0; self.centre.len()]);
        for (component, by_constant) in by_constant.iter().enumerate() {
            let own = -by_constant * 0.5;
            for index in 0..self.latent {
                let (at, across) = (self.latent * component + index, components * index + component);
                let by_scaled = by_scaled[across] + own * self.centre[at];
                by_centre[at] = own * self.scaled[at] + by_scaled * self.precision[at];
                let by_precision = by_precision[across] + by_scaled * self.centre[at];
                let found = own - by_precision * self.precision[at];
                by_log_variance[at] = within(self.log_variance[at], self.limit, found);
            }
        }
        [by_logits, by_centre, by_log_variance]
    }
}
