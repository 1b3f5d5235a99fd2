//! How well a model explains data, by several estimates of `ln p(x)`.

use anyhow::Result;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use vae_core::{Evidence, Importance, Model, Proposal};

use crate::{
    data::windows::Windows,
    scoring::{evidence, for_each_window, latent_means, log_likelihood},
    statistics::{
        active_units::active_units,
        density::Gaussian,
        kernel_density::{Bandwidth, KernelDensity},
    },
};

/// Samples of the importance-weighted estimates.
pub const SAMPLES: [u32; 4] = [1, 10, 100, MOST_SAMPLES];
/// Samples of the evidence and its decomposition.
pub const MOST_SAMPLES: u32 = 1000;
/// Samples of the ELBO with the KL in closed form, or its bound.
pub const ELBO_SAMPLES: u32 = 10;

/// A mean over windows, in nats, with its standard error.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Estimate {
    /// Mean over the windows.
    pub mean: f64,
    /// Standard deviation over the windows divided by the root of their number.
    pub standard_error: f64,
}

impl Estimate {
    /// The mean of `values` and its standard error.
    #[must_use]
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
        Self { mean, standard_error: (variance / count).sqrt() }
    }
}

/// A kernel density estimate's mean over windows.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct KernelEstimate {
    /// In nats.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// In standard deviations of each feature.
    pub bandwidth: f64,
}

/// Estimates of the mean log-likelihood of data.
#[derive(Clone, Debug, Serialize)]
pub struct LogLikelihoods {
    /// Windows.
    pub windows: usize,
    /// Components of the learned prior; 0 for the standard one.
    pub prior_components: usize,
    /// By [`ELBO_SAMPLES`] samples a window, with the KL in closed form. A learned prior has none: with a bound of the KL, below the ELBO.
    pub elbo: Estimate,
    /// KL of the posterior to the prior, by the same windows: in closed form, or its upper bound.
    pub kl: Estimate,
    /// The ELBO without bias whatever the prior is, by [`MOST_SAMPLES`] samples a window.
    pub elbo_sampled: Estimate,
    /// KL of the posterior to the prior, by the same samples.
    pub kl_sampled: Estimate,
    /// KL of the posterior to the exact one, `ln p(x) − ELBO`, by the same samples: by as much too small as `ln p(x)` by so many samples is.
    pub gap: Estimate,
    /// Importance-weighted by K samples of the posterior, with K.
    pub importance_weighted: Vec<(u32, Estimate)>,
    /// By K samples of the prior, to show why not.
    pub prior_proposal: Vec<(u32, Estimate)>,
    /// Latent dimensions in use: see [`active_units`].
    pub active_units: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// By a Gaussian with full covariance that was fitted by maximum likelihood to other windows, where there are some.
    pub gaussian: Option<Estimate>,
    /// By a kernel density estimate of the same windows, with Scott's bandwidth.
    pub kernel_density: Option<KernelEstimate>,
    /// With the bandwidth by which each of them is likeliest given the others.
    pub kernel_density_left_out: Option<KernelEstimate>,
    /// With a bandwidth that was given.
    pub kernel_density_given: Option<KernelEstimate>,
}

impl LogLikelihoods {
    /// Compares with densities that are fitted to the normal windows of `train`, without those of which something is missing; with a kernel
    /// density estimate of a `given` bandwidth, in standard deviations of each feature, too.
    ///
    /// # Errors
    /// If they determine no density.
    pub fn compare(&mut self, windows: &[f32], train: &Windows, given: Option<f64>) -> Result<()> {
        let features = train.features;
        let is_whole = |x: &&[f32]| !x.iter().any(|value| value.is_nan());
        let is_normal = |index: usize| train.labels.as_ref().is_none_or(|labels| !labels[index]);
        let normal = train.iter().enumerate().filter(|(index, _)| is_normal(*index)).map(|(_, x)| x);
        let whole: Vec<f32> = normal.filter(is_whole).flatten().copied().collect();
        let x = || windows.chunks(features).filter(is_whole);
        let gaussian = Gaussian::fit(&whole, features)?;
        self.gaussian = Some(Estimate::of(x().map(|x| gaussian.log_density(x))));
        let by = |bandwidth| -> Result<KernelEstimate> {
            let kernels = KernelDensity::with(&whole, features, bandwidth)?;
            let estimate = Estimate::of(x().map(|x| kernels.log_density(x)));
            Ok(KernelEstimate { estimate, bandwidth: kernels.bandwidth() })
        };
        self.kernel_density = Some(by(Bandwidth::Scott)?);
        self.kernel_density_left_out = Some(by(Bandwidth::LeaveOneOut)?);
        self.kernel_density_given = given.map(|h| by(Bandwidth::Given(h))).transpose()?;
        Ok(())
    }
}

/// Estimates the mean log-likelihood of `windows`, each followed by its condition.
///
/// # Errors
/// Names the first window that cannot be scored.
pub fn log_likelihoods(model: &Model<'_>, windows: &[f32], seed: u64) -> Result<LogLikelihoods> {
    let scores = for_each_window(model, windows, |index, model, x, scratch| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index as u64);
        model.elbo(x, ELBO_SAMPLES, &mut rng, scratch)
    })?;
    let decomposed = evidence(model, windows, MOST_SAMPLES, seed)?;
    let by = |proposal, samples: &[u32]| -> Result<Vec<(u32, Estimate)>> {
        samples
            .iter()
            .map(|&samples| {
                let values = log_likelihood(model, windows, &Importance { samples, proposal, decide: None }, seed)?;
                Ok((samples, Estimate::of(values.iter().map(|estimate| f64::from(estimate.value)))))
            })
            .collect()
    };
    let terms = |term: fn(&Evidence) -> f32| Estimate::of(decomposed.iter().map(|window| f64::from(term(window))));
    let mut importance_weighted = by(Proposal::Posterior, &SAMPLES[..SAMPLES.len() - 1])?;
    importance_weighted.push((MOST_SAMPLES, terms(|window| window.log_likelihood.value)));
    let means: Vec<f32> = latent_means(model, windows)?.into_iter().flatten().collect();
    let kl = Estimate::of(scores.iter().map(|score| f64::from(score.kl)));
    Ok(LogLikelihoods {
        windows: scores.len(),
        prior_components: model.prior_components()?,
        elbo: Estimate::of(scores.iter().map(|score| f64::from(score.elbo))),
        kl,
        elbo_sampled: terms(|window| window.elbo.elbo),
        kl_sampled: terms(|window| window.elbo.kl),
        gap: terms(Evidence::gap),
        importance_weighted,
        prior_proposal: by(Proposal::Prior, &SAMPLES)?,
        active_units: active_units(&means, model.latent(), model.header()?.posterior.is_discrete(), kl.mean),
        latent: model.latent(),
        gaussian: None,
        kernel_density: None,
        kernel_density_left_out: None,
        kernel_density_given: None,
    })
}
