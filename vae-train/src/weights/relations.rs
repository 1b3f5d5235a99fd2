//! How features go together, beside what the decoder makes of each.

use serde::{Deserialize, Serialize};
use vae_core::format::input_mixture_len;

use crate::weights::dense::Dense;

/// Share of a feature's magnitude by which its range is widened: what is lost when it is standardised and brought back.
const ROUNDING: f64 = 1e-6;

/// What judges each feature given all the others, and a mixture of Gaussians of the input; see
/// [`RELATION_CONSTANTS`](vae_core::format::RELATION_CONSTANTS). Nats are relative to the sum of the features' log normalisers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relations {
    /// Whether features are judged by their differences from the mean, and not from their reconstruction.
    pub of_inputs: bool,
    /// `offset − ½ ‖A r + b‖²` is the log-likelihood of the features given each other.
    pub offset: f32,
    /// What no log-likelihood of a reconstruction counts more than.
    pub ceiling: f32,
    /// `A r + b`, of differences in the likelihood's standard deviations.
    pub given_others: Dense,
    /// Each feature's least and largest value in the training windows, in standardised units.
    pub range: Vec<(f32, f32)>,
    /// The score that a window outside has at most.
    pub outside: f32,
    /// The mixture's components, as [`input_mixture_len`] says; none where there is no mixture.
    pub mixture: Vec<f32>,
}

impl Relations {
    /// Components of the mixture of the input.
    #[must_use]
    pub fn components(&self) -> usize {
        self.mixture.len() / input_mixture_len(self.given_others.rows)
    }

    /// The least values of the features and the largest, in physical units.
    pub(crate) fn limits(&self, mean: &[f32], scale: &[f32]) -> [Vec<f32>; 2] {
        let limit = |standardised: f32, (mean, scale): (&f32, &f32), sign: f64| {
            let (mean, scale) = (f64::from(*mean), f64::from(*scale));
            let value = f64::from(standardised) * scale + mean;
            (value + sign * ROUNDING * value.abs().max(mean.abs()).max(scale)) as f32
        };
        let units = || mean.iter().zip(scale);
        [
            self.range.iter().zip(units()).map(|((least, _), unit)| limit(*least, unit, -1.0)).collect(),
            self.range.iter().zip(units()).map(|((_, largest), unit)| limit(*largest, unit, 1.0)).collect(),
        ]
    }

    /// The mixture's values as the file has them, in nats of densities whose features' log normalisers have this sum.
    pub(crate) fn mixture_over(&self, log_normaliser: f64) -> impl Iterator<Item = f32> + use<'_> {
        self.mixture.chunks_exact(input_mixture_len(self.given_others.rows)).flat_map(move |component| {
            let constant = component.first().map(|constant| (f64::from(*constant) + log_normaliser) as f32);
            constant.into_iter().chain(component.iter().skip(1).copied())
        })
    }
}
