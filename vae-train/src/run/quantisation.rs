//! What int8 does to a model: `docs/quantisation.md` says how to read it.

use anyhow::{Result, ensure};
use rayon::prelude::*;
use serde::Serialize;
use vae_core::{
    Activation, Scratch,
    format::{LikelihoodKind, PosteriorKind},
};

use crate::{
    file::{
        calibration::CalibrationRecord,
        model_file::{AlignedFile, ModelFile},
    },
    scoring,
    statistics::metrics::quantile,
    weights::dense::Dense,
};

/// At most this many windows, evenly spaced, go through every layer; scores are of all windows.
const LAYER_WINDOWS: usize = 1000;

/// Largest share of the held-out windows that int8 may judge otherwise than f32.
pub const MOST_FLIPPED: f64 = 0.01;

/// How an int8 model differs from the f32 model with the same weights, on the windows that both are calibrated on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantisation {
    /// Windows that both models scored.
    pub windows: usize,
    /// Encoder, then decoder.
    pub layers: Vec<LayerError>,
    /// int8 less f32.
    pub score_shift: ScoreShift,
    /// Interquartile range of the f32 model's ELBOs, in nats: what a shift is small or large beside.
    pub spread: f64,
    /// Windows that one model calls anomalous and the other does not, each by its own threshold.
    pub flipped: usize,
}

/// Errors in the outputs of one layer before the activation: the RMS of the difference from the f32 model's outputs, relative to
/// their RMS.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerError {
    /// `encoder` or `decoder`.
    pub half: &'static str,
    /// Values that it reads.
    pub inputs: usize,
    /// Values that it gives.
    pub outputs: usize,
    /// In the f32 model with this layer's weights rounded.
    pub weights: f64,
    /// In the int8 model: what rounding the layer's inputs and all that came before it adds is in it.
    pub output: f64,
}

/// Differences between two models' ELBOs, in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScoreShift {
    /// Mean with the sign: calibration makes up for it.
    pub mean: f64,
    /// Mean magnitude.
    pub mean_magnitude: f64,
    /// Magnitude that 95 % of the windows do not exceed.
    pub magnitude_95: f64,
    /// Largest magnitude.
    pub largest: f64,
}

impl ScoreShift {
    /// How far the ELBOs `new` are from `old`, window by window.
    ///
    /// # Errors
    /// If they are not equally many, or none.
    pub fn between(new: &[f32], old: &[f32]) -> Result<Self> {
        ensure!(new.len() == old.len() && !new.is_empty(), "{} scores beside {}", new.len(), old.len());
        let shifts: Vec<f64> = new.iter().zip(old).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect();
        let mut magnitudes: Vec<f32> = shifts.iter().map(|shift| shift.abs() as f32).collect();
        magnitudes.sort_by(f32::total_cmp);
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / shifts.len() as f64;
        Ok(Self {
            mean: mean(&mut shifts.iter().copied()),
            mean_magnitude: mean(&mut shifts.iter().map(|shift| shift.abs())),
            magnitude_95: f64::from(quantile(&magnitudes, 0.95)),
            largest: f64::from(quantile(&magnitudes, 1.0)),
        })
    }
}

impl Quantisation {
    /// Compares two calibrated models on `windows`, in physical units, each with its condition behind it.
    ///
    /// # Errors
    /// If the windows cannot be scored.
    pub fn measure(int8: &ModelFile, f32: &ModelFile, windows: &[f32]) -> Result<Self> {
        let (a, b) = (elbos(int8, windows)?, elbos(f32, windows)?);
        let mut sorted = b.clone();
        sorted.sort_by(f32::total_cmp);
        let anomalous = |file: &ModelFile, elbo: f32| elbo < file.calibration.threshold;
        let flipped = a.iter().zip(&b).filter(|(a, b)| anomalous(int8, **a) != anomalous(f32, **b)).count();
        Ok(Self {
            windows: a.len(),
            layers: layers(int8, f32, windows)?,
            score_shift: ScoreShift::between(&a, &b)?,
            spread: f64::from(quantile(&sorted, 0.75)) - f64::from(quantile(&sorted, 0.25)),
            flipped,
        })
    }

    /// The share of the windows whose verdict flipped.
    #[must_use]
    pub fn flipped_share(&self) -> f64 {
        self.flipped as f64 / self.windows as f64
    }

    /// Refuses a model of which more than [`MOST_FLIPPED`] of the windows flipped.
    ///
    /// Two flipped windows are never too many: that is one pair that changed places at the threshold, which says nothing.
    ///
    /// # Errors
    /// Says by how much, which layer is least exact, and what to do.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.flipped <= 2 || self.flipped_share() <= MOST_FLIPPED,
            "int8 flips the verdict on {} of {} held-out windows ({:.1} %, more than {:.0} %) and shifts scores by {:.3} nats on \
             average{}: use --precision f32, or fit again with a larger variance or with --quantisation-aware 30",
            self.flipped,
            self.windows,
            100.0 * self.flipped_share(),
            100.0 * MOST_FLIPPED,
            self.score_shift.mean_magnitude,
            self.layers.iter().max_by(|a, b| a.output.total_cmp(&b.output)).map_or(String::new(), |layer| {
                let LayerError { half, inputs, outputs, output, .. } = layer;
                format!(" (least exact: the {half}'s layer {inputs} → {outputs}, off by {:.1} %)", 100.0 * output)
            })
        );
        Ok(())
    }
}

fn elbos(file: &ModelFile, windows: &[f32]) -> Result<Vec<f32>> {
    let file = AlignedFile::new(&file.to_bytes()?);
    scoring::of_device(&file.model()?, windows)
}

fn layers(int8: &ModelFile, f32: &ModelFile, windows: &[f32]) -> Result<Vec<LayerError>> {
    let inputs = f32.mean.len() + f32.conditions.len();
    let step = (windows.len() / inputs).div_ceil(LAYER_WINDOWS).max(1);
    let some: Vec<f32> = windows.chunks_exact(inputs).step_by(step).flatten().copied().collect();
    let latents = [latents(int8, &some)?, latents(f32, &some)?];
    let decoder = f32.decoder_in_deviations()?;
    let mut errors = Vec::new();
    for (half, layers) in [("encoder", &f32.encoder), ("decoder", &decoder)] {
        for (index, layer) in layers.iter().enumerate() {
            let rounded = Dense { weights: layer.quantise().dequantise(), ..layer.clone() };
            let outputs = |file: &ModelFile, layer: &Dense, latents: &[Vec<f32>]| -> Result<Vec<f32>> {
                let layers: Vec<Dense> = layers[..index].iter().chain([layer]).cloned().collect();
                Ok(match half {
                    "encoder" => self::latents(&encoder_of(file, layers), &some)?,
                    _ => decoded(&decoder_of(file, layers), latents, &some)?,
                }
                .concat())
            };
            let expected = outputs(f32, layer, &latents[1])?;
            errors.push(LayerError {
                half,
                inputs: layer.columns,
                outputs: layer.rows,
                weights: relative(&outputs(f32, &rounded, &latents[1])?, &expected),
                output: relative(&outputs(int8, layer, &latents[0])?, &expected),
            });
        }
    }
    Ok(errors)
}

/// RMS of `found − expected`, relative to that of `expected`.
fn relative(found: &[f32], expected: &[f32]) -> f64 {
    let square = |value: f64| value * value;
    let difference: f64 = found.iter().zip(expected).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let size: f64 = expected.iter().map(|b| square(f64::from(*b))).sum();
    if difference == 0.0 { 0.0 } else { (difference / size).sqrt() }
}

/// A model whose latent means are what the last of these layers of the encoder gives before its activation.
fn encoder_of(file: &ModelFile, mut encoder: Vec<Dense>) -> ModelFile {
    let mut latent = 0;
    if let Some(last) = encoder.last_mut() {
        latent = last.rows;
        // As many log-variances, which nobody reads.
        last.activation = Activation::Identity;
        last.rows *= 2;
        last.weights.resize(last.rows * last.columns, 0.0);
        last.bias.resize(last.rows, 0.0);
    }
    let outputs = file.likelihood.parameters(file.mean.len());
    ModelFile {
        posterior: PosteriorKind::DiagonalGaussian,
        latent,
        encoder,
        decoder: nothing(latent + file.conditions.len(), outputs),
        ..bare(file)
    }
}

/// A model whose decoder gives what the last of these layers of it does before its activation.
fn decoder_of(file: &ModelFile, mut decoder: Vec<Dense>) -> ModelFile {
    let mut features = 0;
    if let Some(last) = decoder.last_mut() {
        features = last.rows;
        last.activation = Activation::Identity;
    }
    ModelFile {
        likelihood: LikelihoodKind::GaussianFixed,
        channels: vec!["output".to_owned(); features],
        window: 1,
        hop: 1,
        front_ends: Vec::new(),
        mean: vec![0.0; features],
        scale: vec![1.0; features],
        variance: vec![1.0; features],
        families: Vec::new(),
        encoder: nothing(features + file.conditions.len(), file.posterior.parameters(file.latent)),
        decoder,
        ..bare(file)
    }
}

/// Without what only a whole model has.
fn bare(file: &ModelFile) -> ModelFile {
    ModelFile {
        prior: None,
        relations: None,
        mixture: None,
        second_stage: None,
        attributes: Vec::new(),
        golden_inputs: Vec::new(),
        calibration: CalibrationRecord::default(),
        ..file.clone()
    }
}

/// Layers from `inputs` values to `outputs` zeros.
fn nothing(inputs: usize, outputs: usize) -> Vec<Dense> {
    let layer = |rows, columns| Dense {
        activation: Activation::Identity,
        rows,
        columns,
        weights: vec![0.0; rows * columns],
        bias: vec![0.0; rows],
    };
    vec![layer(1, inputs), layer(outputs, 1)]
}

/// The mean latent vector of each window.
fn latents(file: &ModelFile, windows: &[f32]) -> Result<Vec<Vec<f32>>> {
    let file = AlignedFile::new(&file.to_bytes()?);
    scoring::latent_means(&file.model()?, windows)
}

/// What the model decodes each latent vector to, given the condition of its window.
fn decoded(file: &ModelFile, latents: &[Vec<f32>], windows: &[f32]) -> Result<Vec<Vec<f32>>> {
    let file = AlignedFile::new(&file.to_bytes()?);
    let model = file.model()?;
    let windows = windows.par_chunks_exact(windows.len() / latents.len().max(1));
    let one = |memory: &mut Vec<f32>, (z, window): (&Vec<f32>, &[f32])| {
        let mut outputs = vec![0.0; model.features()];
        let condition = &window[window.len() - model.conditions()..];
        model.given(condition)?.decode(&z[..], &mut outputs[..], &mut Scratch::new(memory))?;
        Ok(outputs)
    };
    latents.par_iter().zip(windows).map_init(|| vec![0.0; model.scratch_len()], one).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use vae_core::format::Precision;

    use super::*;

    const WINDOWS: usize = 1000;

    /// A model of windows `(t, 2t, −t) + noise`, that reconstructs them from `t`; the decoder's hidden layer has a unit that is
    /// always 0 and whose weights to the outputs are `idle`.
    fn line_model(idle: f32) -> ModelFile {
        let layer = |activation, rows, weights: &[f32]| Dense {
            activation,
            rows,
            columns: weights.len() / rows,
            weights: weights.to_vec(),
            bias: vec![0.0; rows],
        };
        let encoder = vec![layer(Activation::Identity, 2, &[1.0 / 6.0, 2.0 / 6.0, -1.0 / 6.0, 0.0, 0.0, 0.0])];
        let decoder = vec![
            layer(Activation::Relu, 3, &[1.0, -1.0, 0.0]),
            layer(Activation::Identity, 3, &[1.0, -1.0, idle, 2.0, -2.0, idle, -1.0, 1.0, idle]),
        ];
        ModelFile {
            precision: Precision::F32,
            prior: None,
            posterior: PosteriorKind::DiagonalGaussian,
            likelihood: LikelihoodKind::GaussianFixed,
            channels: ["a", "b", "c"].map(str::to_owned).to_vec(),
            window: 1,
            hop: 1,
            front_ends: Vec::new(),
            latent: 1,
            mean: vec![0.0; 3],
            scale: vec![1.0; 3],
            variance: vec![0.04; 3],
            families: Vec::new(),
            log_variance_bounds: (-6.0, 6.0),
            conditions: Vec::new(),
            condition_mean: Vec::new(),
            condition_scale: Vec::new(),
            relations: None,
            mixture: None,
            second_stage: None,
            attributes: Vec::new(),
            encoder,
            decoder,
            calibration: CalibrationRecord::default(),
            golden_inputs: Vec::new(),
            data: String::new(),
            seed: 0,
            metrics: Vec::new(),
        }
    }

    fn measure(idle: f32) -> Quantisation {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut uniform = |width: f32| rng.random_range(-width..width);
        let windows: Vec<f32> = (0..WINDOWS)
            .flat_map(|_| {
                let t = uniform(2.0);
                [t, 2.0 * t, -t].map(|x| x + uniform(0.3))
            })
            .collect();
        let calibrated = |precision| {
            let mut file = ModelFile { precision, ..line_model(idle) };
            let mut elbos = elbos(&file, &windows).unwrap();
            elbos.sort_by(f32::total_cmp);
            file.calibration.threshold = quantile(&elbos, 0.01);
            file
        };
        Quantisation::measure(&calibrated(Precision::Int8), &calibrated(Precision::F32), &windows).unwrap()
    }

    #[test]
    fn a_model_whose_rows_have_no_outliers_passes() {
        let found = measure(0.5);
        found.check().unwrap();
        assert_eq!((found.windows, found.layers.len()), (WINDOWS, 3));
        assert!(found.layers.iter().all(|layer| layer.weights < 0.01 && layer.output < 0.02), "{found:?}");
        let ScoreShift { mean, mean_magnitude, magnitude_95, largest } = found.score_shift;
        assert!(mean.abs() <= mean_magnitude && mean_magnitude < magnitude_95 && magnitude_95 < largest, "{found:?}");
        assert!(mean_magnitude < 0.2 * found.spread, "{found:?}");
    }

    #[test]
    fn a_model_whose_outliers_drown_its_weights_is_refused() {
        let found = measure(1000.0);
        // Steps of 1000 / 127: of 1, 2 and −1 nothing is left, and nothing is reconstructed.
        let last = &found.layers[2];
        assert_eq!((last.half, last.inputs, last.outputs), ("decoder", 3, 3));
        assert!(found.layers[..2].iter().all(|layer| layer.output < 0.02), "{found:?}");
        assert_eq!((last.weights, last.output), (1.0, 1.0), "{found:?}");
        let message = found.check().unwrap_err().to_string();
        for part in [
            "of 1000 held-out windows",
            "decoder's layer 3 → 3, off by 100.0 %",
            "--precision f32",
            "--quantisation-aware",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn one_pair_that_changed_places_is_no_reason_to_refuse() {
        let found = measure(0.5);
        for (windows, flipped, passes) in [(80, 2, true), (80, 3, false), (1000, 10, true), (1000, 11, false)] {
            assert_eq!(
                Quantisation { windows, flipped, ..found.clone() }.check().is_ok(),
                passes,
                "{flipped} of {windows}"
            );
        }
    }
}
