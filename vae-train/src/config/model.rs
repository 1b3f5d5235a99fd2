//! What a model is made of.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use vae_core::format::COVARIANCE_RANKS;

use crate::{
    model::objective::discrete::{MOST_STATES, number_of_states},
    weights::family::{HiddenActivation, Likelihood, Posterior},
};

/// Least learned variance of a feature by default, in standardised units.
pub const CONTINUOUS_FLOOR: f32 = 0.01;
/// Least learned variance, by default, of a feature that mostly has one value, in standardised units.
pub const DISCRETE_FLOOR: f32 = 0.1;

/// Least variance of a model of densities by default, in standardised units: a hundredth of a standard deviation.
pub const DENSITY_FLOOR: f32 = 1e-4;

/// Widths of the hidden layers of a model that has room for them.
const HIDDEN: [usize; 2] = [128, 64];
/// Width of a hidden layer of the widest models.
const LEAST_HIDDEN: usize = 8;
/// What weights, constants and golden vectors of an int8 model may take: 64 KiB, less prior, card and small layers.
const MODEL_BYTES: usize = 60_000;
/// Bytes of an int8 model per feature beside weights: constants, name, golden vectors.
const BYTES_PER_FEATURE: usize = 40;
/// Latent dimensions of a model that has more features than twice as many.
const LATENT: usize = 8;

/// What a model is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To tell what is unlike the data, in int8 too.
    #[default]
    Detection,
    /// To say how likely each value is, and to generate others like the data.
    Density,
}

/// Family of the posterior `q(z|x)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum PosteriorFamily {
    /// Gaussian with a diagonal covariance.
    Diagonal,
    /// Gaussian with a full covariance.
    Full,
    /// Independent Bernoulli latents: zeros and ones.
    Bernoulli,
    /// Independent categorical latents, of --categories each: a one and zeros.
    Categorical,
}

impl PosteriorFamily {
    /// Whether latent vectors are of zeros and ones.
    #[must_use]
    pub fn is_discrete(self) -> bool {
        matches!(self, Self::Bernoulli | Self::Categorical)
    }
}

/// The section `model`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Model")]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// What the model is for: to tell what is unlike the data, or to say how likely each value is and generate others.
    ///
    /// `density` makes the likelihood as sharp as the data are, where detection keeps it so wide that int8 and windows of the same kind do not matter:
    /// other defaults for --likelihood (gaussian-predicted), --variance-floor (0.0001), --input-noise (0), --relations (false),
    /// --objective (importance), --prior (64), --hidden, --warm-up, --learning-rate, --last-rate, --batch and --epochs, each of which may be given (docs/density.md). Export such a model with
    /// `--precision f32`.
    #[arg(long, value_enum, default_value_t = ModelConfig::default().purpose)]
    pub purpose: Purpose,
    /// Likelihood `p(x|z)` of the decoder.
    #[arg(long, value_enum, default_value_t = ModelConfig::default().likelihood)]
    pub likelihood: Likelihood,
    /// Factors that features share under the gaussian-covariance likelihood: 1, 2, 4, 6, 10 or 14.
    ///
    /// The covariance is a variance for each feature and a product of this rank; one less than there are features is enough for any covariance.
    #[arg(long, hide_short_help = true, value_name = "RANK", default_value_t = ModelConfig::default().covariance_rank)]
    pub covariance_rank: u8,
    /// Variance of the gaussian-fixed likelihood, in squared standard deviations of the feature: 1e-6 to 100.
    #[arg(long, hide_short_help = true, default_value_t = ModelConfig::default().variance)]
    pub variance: f32,
    /// Least variance that a likelihood may learn or predict, in squared standard deviations of the feature: 1e-6 to 100.
    ///
    /// The default is 0.01, and 0.1 for columns that mostly have one value, as the model would otherwise learn that other values are impossible.
    /// Of gaussian-predicted and gaussian-covariance it is 0.1 for rows and 0.01 for windows of a stream. For densities it is 0.0001.
    #[arg(long, hide_short_help = true)]
    pub variance_floor: Option<f32>,
    /// Judge how features go together: each given all the others, and of up to 16 features by a mixture of Gaussians of the input.
    ///
    /// The score is then the least of the ELBO with independent features and these. For a gaussian likelihood and up to 64 features.
    #[arg(long, hide_short_help = true, value_name = "BOOL", action = clap::ArgAction::Set, default_value_t = ModelConfig::default().relations)]
    pub relations: bool,
    /// Widths of the encoder's hidden layers, mirrored by the decoder [default: 128,64, or fewer for a model of 64 KiB; 128,128 for densities].
    ///
    /// The default is as much smaller as keeps an int8 model of up to 1,100 features within 64 KiB (less what `calibrate` adds, 36 bytes a
    /// channel). In a configuration file an empty list makes a linear model.
    #[arg(long, hide_short_help = true, value_delimiter = ',')]
    pub hidden: Option<Vec<usize>>,
    /// Latent dimensions [default: half the features and one more, at most 8].
    ///
    /// Of categorical latents, values: as many for each latent as it has categories.
    #[arg(long)]
    pub latent: Option<usize>,
    /// Activation of the hidden layers.
    #[arg(long, hide_short_help = true, value_enum, default_value_t = ModelConfig::default().activation)]
    pub activation: HiddenActivation,
    /// Family of the posterior `q(z|x)`.
    #[arg(long, hide_short_help = true, value_enum, default_value_t = ModelConfig::default().posterior)]
    pub posterior: PosteriorFamily,
    /// Categories of each categorical latent, which divide --latent [default: --latent: a single latent].
    #[arg(long, hide_short_help = true)]
    pub categories: Option<usize>,
    /// Components of the prior `p(z)`, a mixture of Gaussians learned with the network; 0 for N(0, I) [default: 16; 64 for densities].
    ///
    /// The default is 0 if the posterior is not diagonal or free bits are given.
    #[arg(long, hide_short_help = true)]
    pub prior: Option<usize>,
    /// Components of the aggregated posterior's mixture to store in the model, to generate from; 0 for none.
    #[arg(long, hide_short_help = true, default_value_t = ModelConfig::default().mixture)]
    pub mixture: usize,
    /// Most posteriors of training windows to keep in the run, not in the model: the aggregated posterior itself, to generate from on a desktop; 0
    /// for none.
    #[arg(long, hide_short_help = true, default_value_t = ModelConfig::default().posteriors)]
    pub posteriors: usize,
    /// Train a second stage on the latent vectors, to generate from.
    ///
    /// It is stored only if it explains at least 5 % of their variance, and its latent vectors are nearer to those of the held-out windows than the prior's are, by more than chance explains; a
    /// conditional model's is trained given the condition. What was found is in summary.json (docs/evaluation.md).
    #[arg(long, hide_short_help = true)]
    pub second_stage: bool,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            purpose: Purpose::Detection,
            likelihood: Likelihood::Gaussian,
            covariance_rank: 2,
            variance: 0.1,
            variance_floor: None,
            relations: true,
            hidden: None,
            latent: None,
            activation: HiddenActivation::Silu,
            posterior: PosteriorFamily::Diagonal,
            categories: None,
            prior: None,
            mixture: 0,
            posteriors: 0,
            second_stage: false,
        }
    }
}

impl ModelConfig {
    /// Widths of the hidden layers for a model of `features` values.
    #[must_use]
    pub fn hidden_for(&self, features: usize) -> Vec<usize> {
        let room = MODEL_BYTES.saturating_sub(BYTES_PER_FEATURE * features) / (2 * (features + HIDDEN[1]));
        // Whole blocks of four rows, as the file has them.
        let first = (room & !3).clamp(LEAST_HIDDEN, HIDDEN[0]);
        let second = if self.purpose == Purpose::Density { first } else { HIDDEN[1].min(first) };
        self.hidden.clone().unwrap_or_else(|| vec![first, second])
    }

    /// Latent dimensions for a model of `features` values.
    #[must_use]
    pub fn latent_for(&self, features: usize) -> usize {
        let usual = (features / 2 + 1).min(LATENT);
        let whole = match (self.posterior, self.categories) {
            (PosteriorFamily::Categorical, Some(categories)) => usual.next_multiple_of(categories.max(1)),
            (PosteriorFamily::Categorical, None) => usual.max(2),
            _ => usual,
        };
        self.latent.unwrap_or(whole)
    }

    /// The posterior of so many latent dimensions.
    #[must_use]
    pub fn posterior_of(&self, latent: usize) -> Posterior {
        match self.posterior {
            PosteriorFamily::Diagonal => Posterior::Diagonal,
            PosteriorFamily::Full => Posterior::Full,
            PosteriorFamily::Bernoulli => Posterior::Bernoulli,
            PosteriorFamily::Categorical => Posterior::Categorical { categories: self.categories.unwrap_or(latent) },
        }
    }

    /// Refuses values that no fit can work with.
    ///
    /// # Errors
    /// Names the value and what it may be.
    pub fn check(&self) -> Result<()> {
        ensure!(self.latent != Some(0), "latent is 0: give at least 1, or leave it out");
        ensure!(
            !self.hidden.iter().flatten().any(|width| *width == 0),
            "a hidden layer of width 0: leave it out of `hidden` instead"
        );
        ensure!(
            !(self.posterior.is_discrete() && (self.second_stage || self.mixture > 0)),
            "mixture and second stage are Gaussian: they fit neither Bernoulli latents nor categorical ones; leave out --mixture and --second-stage"
        );
        ensure!(
            COVARIANCE_RANKS.contains(&self.covariance_rank),
            "covariance_rank {}: give one of {COVARIANCE_RANKS:?}",
            self.covariance_rank
        );
        self.check_categories()?;
        let floor = self.variance_floor.map(|floor| ("variance_floor", floor));
        for (name, variance) in [("variance", self.variance)].into_iter().chain(floor) {
            ensure!(
                (1e-6..=100.0).contains(&variance),
                "{name} {variance}: give 1e-6 to 100, in squared standard deviations of the feature"
            );
        }
        Ok(())
    }

    fn check_categories(&self) -> Result<()> {
        if self.posterior != PosteriorFamily::Categorical {
            ensure!(
                self.categories.is_none(),
                "categories are those of categorical latents: leave out --categories, or give --posterior categorical"
            );
            return Ok(());
        }
        let latent = self.latent_for(0);
        let categories = self.categories.unwrap_or(latent);
        ensure!(
            categories >= 2,
            "{categories} categories of a latent: give at least 2 (--categories; without it, --latent)"
        );
        ensure!(
            latent.is_multiple_of(categories),
            "--latent {latent} is no multiple of --categories {categories}: each latent has a value for each of its categories, so that {} have a \
             --latent of {}",
            latent.div_ceil(categories),
            latent.next_multiple_of(categories)
        );
        Ok(())
    }

    /// Refuses a posterior of which not all latent vectors can be enumerated.
    ///
    /// # Errors
    /// Says how many there would be.
    pub(crate) fn check_states(&self) -> Result<()> {
        let latent = self.latent_for(usize::MAX);
        let posterior = self.posterior_of(latent);
        if let Some((latents, states)) = posterior.discrete(latent) {
            ensure!(
                number_of_states(posterior, latent).is_some_and(|number| number <= MOST_STATES),
                "enumeration takes at most {MOST_STATES} latent vectors, and {latents} latents of {states} states have {states}^{latents}: give \
                 fewer (--latent), or --estimator score-function"
            );
        }
        Ok(())
    }
}
