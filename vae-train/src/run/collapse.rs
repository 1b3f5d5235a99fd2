//! Whether latent dimensions that a model does not use are superfluous or have collapsed, what was tried, and what would help.

use anyhow::Result;
use serde::Serialize;
use vae_core::{Importance, Proposal};

use crate::{
    config::Config,
    data::part::Part,
    file::model_file::AlignedFile,
    model::{architecture::Architecture, network::Weights},
    run::screening::model_of_standardised,
    scoring::log_likelihood,
    statistics::kernel_density::{Bandwidth, KernelDensity},
    weights::family::{Likelihood, Posterior},
    words::numbers::significant,
};

/// By so many nats a window what knows no latents must be better, and by so many of its standard errors.
const BETTER: f64 = 0.05;
const ERRORS: f64 = 3.0;
/// Most held-out windows that are judged by, and samples of the posterior for each.
const WINDOWS: usize = 500;
const SAMPLES: u32 = 100;
/// Most training windows that kernels are put on, evenly spaced.
const KERNELS: usize = 5000;
/// Fewest held-out windows: of fewer, no mean is known.
const LEAST_WINDOWS: usize = 16;
/// A warm-up of a smaller share of the epochs than this is short.
const SHORT_WARM_UP: f64 = 0.2;

/// What is known of latent dimensions that are not in use.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unused {
    /// How many.
    pub dimensions: usize,
    /// How likely held-out windows are; none where kernels tell nothing: zeros and ones, conditions, missing values, too few windows.
    pub likelihoods: Option<Likelihoods>,
    /// Whether they have collapsed: what has no latents knows more of the held-out windows.
    pub collapsed: bool,
    /// The settings that make latents collapse or keep them from it, as they were.
    pub tried: Vec<String>,
    /// Options by which all would be in use; none where they have collapsed.
    pub would_do: Option<String>,
    /// Options that would help, the most promising first; none where the dimensions are superfluous.
    pub would_help: Vec<String>,
}

/// Mean log-likelihoods of held-out windows, in nats of standardised units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Likelihoods {
    /// Importance-weighted, by the model.
    pub model: f64,
    /// By a Gaussian on each training window.
    pub kernels: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// Standard deviation of these Gaussians, in standardised units: the likeliest, but at least that of the narrowest likelihood allowed.
    pub bandwidth: f64,
}

impl Likelihoods {
    fn are_those_of_a_collapse(&self) -> bool {
        self.kernels - self.model > BETTER.max(ERRORS * self.standard_error)
    }
}

/// A fit that has ended.
pub(crate) struct Fit<'a> {
    pub(crate) config: &'a Config,
    pub(crate) architecture: &'a Architecture,
    pub(crate) weights: Weights,
    pub(crate) train: Part<'a>,
    pub(crate) held_out: Part<'a>,
    /// Latent dimensions in use.
    pub(crate) active: usize,
    /// Whether the last epoch was the best.
    pub(crate) is_improving: bool,
}

impl Unused {
    /// Diagnoses the latent dimensions that a fit has left out of use; `None` where all are in use.
    ///
    /// A kernel density estimate of the training windows is a model whose decoder reaches each of them: with kernels as wide as the
    /// likelihood's least variance, it is what this likelihood could come to if the latents told all windows apart. Where it finds held-out windows likelier
    /// than the model, the model has missed what the dimensions out of use could have told; where not, they have nothing to tell. Of
    /// many features no kernel density is good, and nothing is called collapsed but what is not used at all.
    ///
    /// # Errors
    /// If the model cannot be scored.
    pub(crate) fn diagnose(fit: Fit<'_>) -> Result<Option<Self>> {
        let Fit { config, architecture, active, is_improving, .. } = fit;
        if active >= architecture.latent {
            return Ok(None);
        }
        let weights = fit.weights;
        let variance = match architecture.likelihood {
            Likelihood::Gaussian => weights.variance.iter().copied().reduce(f32::max),
            Likelihood::GaussianFixed
            | Likelihood::GaussianPredicted
            | Likelihood::GaussianCovariance
            | Likelihood::Bernoulli
            | Likelihood::Mixed => None,
        };
        let likelihoods = likelihoods(architecture, weights, fit.train, fit.held_out)?;
        let collapsed = active == 0 || likelihoods.is_some_and(|found| found.are_those_of_a_collapse());
        let would_help = if collapsed { remedies(config, architecture, likelihoods, is_improving) } else { Vec::new() };
        Ok(Some(Self {
            dimensions: architecture.latent - active,
            likelihoods,
            collapsed,
            tried: tried(config, architecture, variance),
            would_do: (!collapsed).then(|| fewer(architecture, active)),
            would_help,
        }))
    }

    /// The diagnosis, in lines that go on with `1 of 2 latent dimensions in use`.
    #[must_use]
    pub fn lines(&self, active: usize) -> Vec<String> {
        if let Some(fewer) = &self.would_do {
            return vec![format!(": {fewer} would do")];
        }
        let others = match (active, self.dimensions) {
            (0, _) => "they have",
            (_, 1) => "the other has",
            _ => "the others have",
        };
        let mut lines = vec![match self.likelihoods.filter(Likelihoods::are_those_of_a_collapse) {
            Some(Likelihoods { model, kernels, bandwidth, .. }) => format!(
                ", not because fewer would do: {others} collapsed. Without any, Gaussians of {bandwidth:.2} standard deviations about the training \
                 windows find the held-out ones {:.3} nats likelier than the model does ({kernels:.3} to {model:.3})",
                kernels - model
            ),
            None => ": the posterior collapsed".to_owned(),
        }];
        lines.push(format!("  tried: {}", self.tried.join(", ")));
        lines.push(format!("  would help: {}", self.would_help.join("; ")));
        lines
    }
}

/// Options of a model that has no more than the dimensions in use.
fn fewer(architecture: &Architecture, active: usize) -> String {
    match architecture.posterior {
        Posterior::Categorical { categories } if categories == architecture.latent => {
            format!("--latent {active} --categories {active}")
        }
        Posterior::Categorical { .. } => "fewer --categories".to_owned(),
        Posterior::Diagonal | Posterior::Full | Posterior::Bernoulli => format!("--latent {active}"),
    }
}

/// How likely the held-out windows are, by the model and by kernels on the training windows; none where that cannot be told.
fn likelihoods(
    architecture: &Architecture,
    weights: Weights,
    train: Part<'_>,
    held_out: Part<'_>,
) -> Result<Option<Likelihoods>> {
    let features = architecture.features;
    let has_density = !matches!(architecture.likelihood, Likelihood::Bernoulli | Likelihood::Mixed);
    if !has_density || architecture.conditions > 0 {
        return Ok(None);
    }
    let (train, held_out) =
        (train.whole_windows(KERNELS, features).concat(), held_out.whole_windows(WINDOWS, features).concat());
    let windows = held_out.len() / features;
    if windows < LEAST_WINDOWS {
        return Ok(None);
    }
    // What varies by hardly anything has no kernels: a constant is known to both.
    let Ok(likeliest) = KernelDensity::with(&train, features, Bandwidth::LeaveOneOut) else { return Ok(None) };
    let bandwidth = likeliest.bandwidth().max(least_deviation(architecture));
    let kernels = KernelDensity::with(&train, features, Bandwidth::Given(bandwidth))?;
    let file = AlignedFile::new(&model_of_standardised(architecture, weights).to_bytes()?);
    let importance = Importance { samples: SAMPLES, proposal: Proposal::Posterior, decide: None };
    let by_model = log_likelihood(&file.model()?, &held_out, &importance, 0)?;
    let pairs = held_out.chunks_exact(features).zip(&by_model);
    let pairs: Vec<(f64, f64)> = pairs.map(|(x, model)| (kernels.log_density(x), f64::from(model.value))).collect();
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / windows as f64;
    let difference = mean(&|(kernels, model)| kernels - model);
    let variance = mean(&|(kernels, model)| (kernels - model - difference).powi(2));
    Ok(Some(Likelihoods {
        model: mean(&|(_, model)| *model),
        kernels: mean(&|(kernels, _)| *kernels),
        standard_error: (variance / windows as f64).sqrt(),
        bandwidth,
    }))
}

/// The largest of the features' least standard deviations under the likelihood, in standardised units.
fn least_deviation(architecture: &Architecture) -> f64 {
    let least = match architecture.likelihood {
        Likelihood::Gaussian => architecture.variance_floors.iter().copied().fold(0.0, f32::max),
        Likelihood::GaussianFixed => architecture.variance,
        Likelihood::GaussianPredicted | Likelihood::GaussianCovariance => architecture.variance_floor,
        Likelihood::Bernoulli | Likelihood::Mixed => 0.0,
    };
    f64::from(least).sqrt()
}

/// The settings that decide whether latents are used, as options.
fn tried(config: &Config, architecture: &Architecture, variance: Option<f32>) -> Vec<String> {
    let objective = &config.objective;
    let family = match (architecture.likelihood, variance) {
        (Likelihood::Gaussian, Some(variance)) => {
            format!("one variance for each feature (the largest is {})", significant(f64::from(variance)))
        }
        (Likelihood::Gaussian, None) => "one variance for each feature".to_owned(),
        (Likelihood::GaussianFixed, _) => format!("a fixed variance of {}", architecture.variance),
        (Likelihood::GaussianPredicted, _) => {
            format!("predicted variances of at least {}", architecture.variance_floor)
        }
        (Likelihood::GaussianCovariance, _) => format!(
            "predicted covariances of rank {} and variances of at least {}",
            architecture.covariance_rank, architecture.variance_floor
        ),
        (Likelihood::Bernoulli, _) => "a Bernoulli likelihood".to_owned(),
        (Likelihood::Mixed, _) => "a family for each column".to_owned(),
    };
    let noise = objective.input_noise.filter(|noise| *noise > 0.0 && architecture.likelihood != Likelihood::Bernoulli);
    [
        Some(family),
        noise.map(|noise| format!("--input-noise {noise:.2}")),
        Some(format!("--warm-up {}", objective.warm_up.unwrap_or(0))),
        (objective.beta != 1.0).then(|| format!("--beta {}", objective.beta)),
        (objective.free_bits > 0.0).then(|| format!("--free-bits {}", objective.free_bits)),
        Some(format!("--prior {}", architecture.prior)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What was not tried, as options.
fn remedies(
    config: &Config,
    architecture: &Architecture,
    likelihoods: Option<Likelihoods>,
    is_improving: bool,
) -> Vec<String> {
    let (objective, epochs) = (&config.objective, config.training.epochs.unwrap_or(1));
    let warm_up = (epochs / 3).max(1);
    let is_short = (objective.warm_up.unwrap_or(0) as f64) < SHORT_WARM_UP * epochs as f64;
    let is_gaussian = architecture.likelihood != Likelihood::Bernoulli;
    let is_wide = likelihoods.filter(|found| found.bandwidth <= least_deviation(architecture) * 1.001);
    let found = [
        (objective.beta > 1.0).then(|| "--beta 1".to_owned()),
        (is_gaussian && !config.is_of_densities())
            .then(|| "--purpose density, where densities or generated windows matter (docs/density.md)".to_owned()),
        (objective.input_noise.is_some_and(|noise| noise > 0.0) && is_gaussian).then(|| "--input-noise 0".to_owned()),
        is_short.then(|| format!("--warm-up {warm_up}")),
        (architecture.likelihood == Likelihood::Gaussian || architecture.likelihood == Likelihood::GaussianFixed)
            .then(|| "--likelihood gaussian-predicted".to_owned()),
        is_wide.map(|_| "a lower --variance-floor".to_owned()),
        (objective.free_bits == 0.0 && architecture.prior == 0).then(|| "--free-bits 0.1".to_owned()),
        is_improving.then(|| "more --epochs".to_owned()),
        (architecture.posterior == Posterior::Diagonal).then(|| "--posterior full".to_owned()),
        Some("a lower --learning-rate".to_owned()),
    ];
    found.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Purpose;

    fn lines(config: &Config, likelihoods: Option<Likelihoods>, active: usize) -> (bool, String) {
        let architecture = config.architecture(2);
        let collapsed = active == 0 || likelihoods.is_some_and(|found| found.are_those_of_a_collapse());
        let unused = Unused {
            dimensions: architecture.latent - active,
            likelihoods,
            collapsed,
            tried: tried(config, &architecture, Some(0.45)),
            would_do: (!collapsed).then(|| fewer(&architecture, active)),
            would_help: remedies(config, &architecture, likelihoods, false),
        };
        (collapsed, unused.lines(active).join("\n"))
    }

    fn likelihoods(kernels: f64, model: f64, standard_error: f64) -> Option<Likelihoods> {
        Some(Likelihoods { model, kernels, standard_error, bandwidth: 0.1 })
    }

    #[test]
    fn what_kernels_explain_no_better_is_superfluous_and_what_they_explain_better_has_collapsed() {
        let mut config = Config::default();
        config.settle(2, 4000);
        for (found, expected) in [
            (likelihoods(-1.5, -1.2, 0.01), false),
            (likelihoods(-1.46, -1.5, 0.01), false),
            // Within three standard errors.
            (likelihoods(-1.3, -1.5, 0.07), false),
            (likelihoods(-1.46, -1.9, 0.02), true),
            (None, false),
        ] {
            let (collapsed, text) = lines(&config, found, 1);
            assert_eq!(collapsed, expected, "{found:?}");
            assert_eq!(text == ": --latent 1 would do", !expected, "{text}");
        }
        let (_, text) = lines(&config, likelihoods(-1.46, -1.9, 0.02), 1);
        for part in [
            "0.440 nats likelier than the model does (-1.460 to -1.900)",
            "tried: one variance for each feature (the largest is 0.45), --input-noise 0.30, --warm-up 0, --prior 16",
            "would help: --purpose density,",
            "--input-noise 0; --warm-up 100; --likelihood gaussian-predicted",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn what_was_tried_is_not_advised() {
        let mut config = Config::for_purpose(Purpose::Density);
        config.settle(2, 4000);
        let (_, text) = lines(&config, likelihoods(-1.0, -1.4, 0.02), 1);
        for part in ["--purpose", "--input-noise 0", "--likelihood", "--free-bits"] {
            assert!(!text.split("would help").nth(1).unwrap().contains(part), "{part}: {text}");
        }
        assert!(text.contains("predicted variances of at least 0.0001") && text.contains("--posterior full"), "{text}");
        config.objective.beta = 4.0;
        config.objective.warm_up = Some(0);
        let (_, text) = lines(&config, likelihoods(-1.0, -1.4, 0.02), 0);
        assert!(text.starts_with(", not because fewer would do: they have collapsed. Without any, "), "{text}");
        let (collapsed, text) = lines(&config, None, 0);
        assert!(collapsed && text.starts_with(": the posterior collapsed\n  tried: "), "{text}");
        assert!(text.contains("--beta 4, --prior 64") && text.contains("would help: --beta 1; --warm-up "), "{text}");
    }
}
