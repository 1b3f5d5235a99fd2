//! How near generated windows, and the latent vectors that they are decoded from, come to those of data.

use anyhow::{Context, Result};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use vae_core::{InferError, Model, Scratch, standard_normal};

use crate::{
    scoring::{draws, for_each_window, log_likelihood::Estimate},
    statistics::{
        moments::Moments,
        two_sample::{Discrepancy, Gain, Kernel},
    },
    weights::posteriors::Posteriors,
};

/// Where latent vectors are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// N(0, I), where the model's prior is another one.
    StandardNormal,
    /// The model's prior p(z).
    Prior,
    /// The aggregated posterior's mixture.
    Aggregate,
    /// The second stage.
    SecondStage,
    /// The aggregated posterior itself, of posteriors that a run keeps.
    Posteriors,
}

/// How near what is drawn from a source comes to the data.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Nearness {
    /// The source.
    pub origin: Origin,
    /// Of its latent vectors, from those of the data: draws of their posteriors.
    pub latent_vectors: Discrepancy,
    /// Of windows that are drawn from `p(x|z)` for them, from the data.
    pub windows: Discrepancy,
    /// Mean log-density of the data's latent vectors by it, in nats, where it has one that can be computed.
    pub log_density: Option<Estimate>,
}

/// How near all of a model's sources come to the data.
#[derive(Clone, Debug, Serialize)]
pub struct Generation {
    /// Windows of the data, and of each source.
    pub windows: usize,
    /// One each.
    pub sources: Vec<Nearness>,
    /// How much nearer the second stage's latent vectors are than the prior's; none without a second stage.
    pub gain: Option<Gain>,
}

/// Latent vectors and windows, each followed by its condition, in units of equal spread.
struct Sample {
    latent_vectors: Vec<f32>,
    windows: Vec<f32>,
}

/// What is drawn from each source, beside the data.
pub struct Drawn {
    latent: usize,
    /// Values of a window and of its condition.
    widths: [usize; 2],
    data: Sample,
    sources: Vec<(Origin, Sample, Option<Estimate>)>,
}

/// A draw: a latent vector and a window.
type Pair = (Vec<f32>, Vec<f32>);

impl Drawn {
    /// For each of `windows`, which have no missing values and are in physical units, each followed by its condition: a latent vector of its posterior,
    /// and of each source a latent vector and a window given the same condition. Draws depend on the seed and the window's index.
    ///
    /// # Errors
    /// Names the first window that cannot be encoded.
    pub fn of(model: &Model<'_>, windows: &[f32], posteriors: Option<&Posteriors>, seed: u64) -> Result<Self> {
        let origins = origins(model, posteriors)?;
        let (mean, inverse_scale) = model.standardiser()?;
        let standardised = |x: &[f32]| -> Vec<f32> {
            x.iter().zip(mean.iter().zip(inverse_scale)).map(|(x, (mean, inverse))| (x - mean) * inverse).collect()
        };
        let pairs: Vec<Vec<Pair>> = for_each_window(model, windows, |index, model, x, scratch| {
            let mut rng = draws(seed, index);
            let mut z = vec![0.0; model.latent()];
            model.encode(x, scratch)?.sample(&mut rng, &mut z[..])?;
            let mut pairs = vec![(z, standardised(x))];
            for origin in &origins {
                let (mut z, mut drawn) = (vec![0.0; model.latent()], vec![0.0; model.features()]);
                origin.sample(model, posteriors, &mut rng, &mut z, scratch)?;
                model.decode_sample(&z[..], &mut rng, &mut drawn[..], scratch)?;
                pairs.push((z, standardised(&drawn)));
            }
            Ok(pairs)
        })?;
        let conditions = conditions(windows, [model.features(), model.conditions()]);
        let scales = deviations(pairs.iter().map(|pairs| &pairs[0].0[..]), model.latent());
        let sample = |index: usize| Sample {
            latent_vectors: joined(pairs.iter().map(|pairs| scaled(&pairs[index].0, &scales)), &conditions),
            windows: joined(pairs.iter().map(|pairs| pairs[index].1.clone()), &conditions),
        };
        let latent_vectors: Vec<&[f32]> = pairs.iter().map(|pairs| &pairs[0].0[..]).collect();
        let sources = origins.iter().enumerate().map(|(index, origin)| {
            let log_density = origin.log_density(model, posteriors, &latent_vectors)?;
            Ok((*origin, sample(index + 1), log_density))
        });
        Ok(Self {
            latent: model.latent(),
            widths: [model.features(), model.conditions()],
            sources: sources.collect::<Result<_>>()?,
            data: sample(0),
        })
    }

    /// Of each source the discrepancies from the data; of a conditional model those of vectors and conditions together.
    #[must_use]
    pub fn compare(&self) -> Generation {
        let [features, conditions] = self.widths;
        let (latent, width) = (self.latent + conditions, features + conditions);
        let Sample { latent_vectors, windows } = &self.data;
        let kernels = [Kernel::of(latent_vectors, latent), Kernel::of(windows, width)];
        let nearness = |(origin, sample, log_density): &(Origin, Sample, Option<Estimate>)| Nearness {
            origin: *origin,
            latent_vectors: Discrepancy::of(&kernels[0], latent_vectors, &sample.latent_vectors, latent),
            windows: Discrepancy::of(&kernels[1], windows, &sample.windows, width),
            log_density: *log_density,
        };
        let of = |wanted: Origin| {
            self.sources.iter().find(|(origin, ..)| *origin == wanted).map(|(_, sample, _)| &sample.latent_vectors)
        };
        let gain = of(Origin::SecondStage)
            .zip(of(Origin::Prior))
            .map(|(second_stage, prior)| Gain::of(&kernels[0], latent_vectors, second_stage, prior, latent));
        Generation {
            windows: latent_vectors.len() / latent,
            sources: self.sources.iter().map(nearness).collect(),
            gain,
        }
    }
}

impl Origin {
    fn sample(
        self,
        model: &Model<'_>,
        posteriors: Option<&Posteriors>,
        rng: &mut ChaCha8Rng,
        z: &mut [f32],
        scratch: &mut Scratch<'_>,
    ) -> Result<(), InferError> {
        match self {
            Self::StandardNormal => z.iter_mut().for_each(|z| *z = standard_normal(rng)),
            Self::Prior => model.sample_prior(rng, z)?,
            Self::Aggregate => model.sample_aggregate(rng, z)?,
            Self::SecondStage => model.sample_second_stage(rng, z, scratch)?,
            Self::Posteriors => posteriors.ok_or(InferError::Absent)?.sample(rng, z)?,
        }
        Ok(())
    }

    /// Of these latent vectors; none where it has no density that can be computed, or the file does not tell it.
    fn log_density(
        self,
        model: &Model<'_>,
        posteriors: Option<&Posteriors>,
        latent_vectors: &[&[f32]],
    ) -> Result<Option<Estimate>> {
        let of_axis = |z: &f32| -0.5 * (f64::from(*z).powi(2) + libm::log(std::f64::consts::TAU));
        let density = |z: &&[f32]| -> Result<Option<f64>, InferError> {
            Ok(match self {
                Self::StandardNormal => Some(z.iter().map(of_axis).sum()),
                Self::Prior => Some(f64::from(model.log_prior(*z)?)),
                Self::Posteriors => posteriors.map(|posteriors| posteriors.log_density(z)).transpose()?,
                Self::Aggregate | Self::SecondStage => None,
            })
        };
        let nats: Option<Vec<f64>> = latent_vectors
            .iter()
            .map(density)
            .collect::<Result<_, InferError>>()
            .context("the density of a latent vector cannot be computed")?;
        Ok(nats.map(|nats| Estimate::of(nats.into_iter())))
    }
}

/// The sources that there are.
fn origins(model: &Model<'_>, posteriors: Option<&Posteriors>) -> Result<Vec<Origin>> {
    let header = model.header()?;
    let is_there = |origin: &Origin| match origin {
        Origin::StandardNormal => !header.posterior.is_discrete(),
        Origin::Prior => true,
        Origin::Aggregate => header.mixture_components > 0,
        Origin::SecondStage => header.second_stage_layers > 0,
        Origin::Posteriors => posteriors.is_some(),
    };
    let is_learned = model.prior_components()? > 0;
    let all = [Origin::StandardNormal, Origin::Prior, Origin::Aggregate, Origin::SecondStage, Origin::Posteriors];
    Ok(all.into_iter().filter(|origin| is_there(origin) && (is_learned || *origin != Origin::StandardNormal)).collect())
}

/// The conditions of windows of so many features and conditions, in standard deviations.
fn conditions(windows: &[f32], [features, conditions]: [usize; 2]) -> Vec<Vec<f32>> {
    let each = || windows.chunks_exact(features + conditions).map(|window| &window[features..]);
    let scales = deviations(each(), conditions);
    each().map(|condition| scaled(condition, &scales)).collect()
}

/// The standard deviation of each column; 1 for one that is constant.
fn deviations<'a>(rows: impl Iterator<Item = &'a [f32]>, columns: usize) -> Vec<f32> {
    let deviation = |moments: &Moments| match moments.deviation() as f32 {
        deviation if deviation > 0.0 => deviation,
        _ => 1.0,
    };
    Moments::of(rows, columns).iter().map(deviation).collect()
}

fn scaled(row: &[f32], scales: &[f32]) -> Vec<f32> {
    row.iter().zip(scales).map(|(value, scale)| value / scale).collect()
}

/// Each row followed by its condition, one after the other.
fn joined(rows: impl Iterator<Item = Vec<f32>>, conditions: &[Vec<f32>]) -> Vec<f32> {
    rows.zip(conditions).flat_map(|(row, condition)| row.into_iter().chain(condition.iter().copied())).collect()
}
