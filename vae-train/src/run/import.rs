//! Variational autoencoders that were trained elsewhere: `docs/import.md` says how a mapping names their tensors.

pub mod imported;
pub mod kept;
pub mod mapping;
mod outputs;
mod tensors;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use vae_core::{Activation, format::LikelihoodKind};

use crate::{
    run::import::{
        imported::Imported,
        mapping::{Mapping, Standardise, Values},
        outputs::Outputs,
        tensors::{Affine, Tensors},
    },
    tables::table::MAX_FEATURES,
    words::messages::list,
};

/// Range of a predicted log-variance, unless the mapping gives one.
const LOG_VARIANCE_BOUNDS: (f32, f32) = (-20.0, 20.0);

/// Takes the model of a safetensors file; `names` are its channels' where the mapping does not name them. Also returns the names of
/// the tensors that were not used.
///
/// # Accuracy
/// Weights are rounded to `f32` once, so that scores differ from the original's by what `f32` arithmetic differs by: about 1e-5 of their
/// own size.
///
/// # Errors
/// Names the tensor, what was found and what is expected.
pub fn import(path: &Path, mapping: &Mapping, names: &[String]) -> Result<(Imported, Vec<String>)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut tensors = Tensors::of(path, &bytes, mapping.transposed)?;

    let mut encoder = tensors.hidden(&mapping.encoder.layers, None)?;
    let inputs = encoder.last().map(|(layer, _)| layer.bias.len());
    let (mean, spread) = mapping.encoder.heads(&mut tensors, inputs)?;
    let latent = mean.bias.len();
    encoder.push((mean.stack(spread), Activation::Identity));
    let features = Features::of(path, mapping, encoder[0].0.columns, names)?;
    let first = &mut encoder[0].0;
    first.weights =
        first.weights.chunks(features.count()).flat_map(|row| features.order.iter().map(|place| row[*place])).collect();

    let mut decoder = tensors.hidden(&mapping.decoder.layers, Some(latent))?;
    let inputs = decoder.last().map_or(latent, |(layer, _)| layer.bias.len());
    let constants = |tensors: &mut Tensors<'_>, values: &Values, what: &str| features.constants(tensors, values, what);
    let Outputs { last, likelihood, variance } =
        mapping.decoder.outputs(&mut tensors, inputs, features.count(), &constants)?;
    decoder.push((features.ordered(&last, likelihood), Activation::Identity));

    let (mean, scale) = features.standardiser(&mut tensors, &mapping.standardise, likelihood)?;
    for (what, values) in [("scale", &scale), ("variance", &variance)] {
        if let Some(value) = values.iter().find(|value| !(**value > 0.0 && (**value as f32).is_normal())) {
            bail!("a {what} is {value}: it must be positive");
        }
    }
    let to_f32 = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
    let dense = |layers: Vec<(Affine, Activation)>| layers.into_iter().map(|(layer, of)| layer.dense(of)).collect();
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let imported = Imported {
        likelihood,
        channels: features.channels,
        window: mapping.window,
        hop: mapping.hop.unwrap_or((mapping.window / 2).max(1)),
        latent,
        mean: to_f32(mean),
        scale: to_f32(scale),
        variance: to_f32(variance),
        log_variance_bounds: mapping.decoder.log_variance_bounds.unwrap_or(LOG_VARIANCE_BOUNDS),
        encoder: dense(encoder),
        decoder: dense(decoder),
        weights: format!("{name} crc32 {crc:08x}"),
    };
    Ok((imported, tensors.unused()))
}

/// The model's inputs: channels, and in which order the original has a window's features.
struct Features {
    channels: Vec<String>,
    window: usize,
    /// For each feature as the core has them, sample after sample, its place in the original.
    order: Vec<usize>,
}

impl Features {
    /// Of an encoder with so many inputs; `names` are the channels' where the mapping does not name them.
    fn of(path: &Path, mapping: &Mapping, inputs: usize, names: &[String]) -> Result<Self> {
        let window = mapping.window;
        ensure!(
            inputs.is_multiple_of(window) && inputs <= MAX_FEATURES,
            "{}: the encoder has {inputs} inputs, which are no whole channels of `window = {window}` samples (at most {MAX_FEATURES} in all)",
            path.display()
        );
        let channels = mapping.channels.clone().unwrap_or_else(|| names.to_vec());
        ensure!(
            channels.len() == inputs / window,
            "{}: the encoder has {inputs} inputs, {} channels of {window} sample(s), and {} names are {}: {}",
            path.display(),
            inputs / window,
            channels.len(),
            if mapping.channels.is_some() {
                "in the mapping"
            } else {
                "columns of the data (`channels` in the mapping chooses some)"
            },
            list(&channels)
        );
        let place = |feature: usize| match mapping.channels_first {
            true => feature % channels.len() * window + feature / channels.len(),
            false => feature,
        };
        let order = (0..inputs).map(place).collect();
        Ok(Self { channels, window, order })
    }

    fn count(&self) -> usize {
        self.order.len()
    }

    /// A value for each feature.
    fn constants(&self, tensors: &mut Tensors<'_>, values: &Values, what: &str) -> Result<Vec<f64>> {
        let (features, channels) = (self.count(), self.channels.len());
        let found = match values {
            Values::One(value) => vec![*value],
            Values::Each(values) => values.clone(),
            Values::Tensor(name) => tensors.read(name)?.1,
        };
        match found.len() {
            count if count == features && self.window > 1 => Ok(self.order.iter().map(|place| found[*place]).collect()),
            count if count == channels || count == 1 => Ok(found.iter().copied().cycle().take(features).collect()),
            count => bail!("{what} has {count} values: give one, {channels} (channels) or {features} (features)"),
        }
    }

    /// The decoder's last layer with its outputs in the core's order.
    fn ordered(&self, last: &Affine, likelihood: LikelihoodKind) -> Affine {
        let features = self.count();
        match likelihood {
            // Means and log-variances side by side.
            LikelihoodKind::GaussianPredicted => {
                last.rows(self.order.iter().flat_map(|place| [*place, features + *place]))
            }
            _ => last.rows(self.order.iter().copied()),
        }
    }

    /// Mean and scale of each feature.
    fn standardiser(
        &self,
        tensors: &mut Tensors<'_>,
        standardise: &Standardise,
        likelihood: LikelihoodKind,
    ) -> Result<(Vec<f64>, Vec<f64>)> {
        let Standardise { mean, scale, variance } = standardise;
        ensure!(scale.is_none() || variance.is_none(), "standardise: give scale or variance, not both");
        let is_plain = mean.is_none() && scale.is_none() && variance.is_none();
        ensure!(
            is_plain || likelihood != LikelihoodKind::Bernoulli,
            "a Bernoulli likelihood takes data between 0 and 1 as they are: leave out standardise"
        );
        let mut constants = |values: &Option<Values>, default, what: &str| {
            self.constants(tensors, values.as_ref().unwrap_or(&Values::One(default)), what)
        };
        let mean = constants(mean, 0.0, "the mean of standardise")?;
        let scale = match variance {
            Some(_) => constants(variance, 1.0, "the variance of standardise")?
                .iter()
                .map(|v| v.abs().sqrt().copysign(*v))
                .collect(),
            None => constants(scale, 1.0, "the scale of standardise")?,
        };
        Ok((mean, scale))
    }
}
