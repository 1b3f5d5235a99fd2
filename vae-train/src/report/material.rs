//! What a page is made of.

use rand::{SeedableRng, seq::index::sample};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use vae_core::{Model, format::LikelihoodKind};

use crate::{
    calibration,
    file::model_file::ModelFile,
    run::{directory::State, quantisation::Quantisation},
    scoring::evaluation::{Evaluation, Scored},
};

/// What a fit wrote into `summary.json`; what an older one did not write is left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Fit {
    /// Of the program.
    pub version: String,
    /// The table that was trained on.
    pub file: String,
    /// Windows.
    pub training_windows: usize,
    /// Windows.
    pub held_out_windows: usize,
    /// Latent dimensions whose posterior mean varies; none where it is not known.
    pub active_units: Option<usize>,
    /// Least and largest value of each channel in the normal rows.
    pub ranges: Vec<(Option<f64>, Option<f64>)>,
    /// What was said of the data: rows and columns left out.
    pub notes: Vec<String>,
}

/// Data that the model was tried on.
#[derive(Debug)]
pub struct Data {
    /// Where they are from.
    pub name: String,
    /// What the model made of them.
    pub scored: Scored,
    /// By their labels; none where they have none, or all the same.
    pub evaluation: Option<Evaluation>,
}

/// What a page is made of.
#[derive(Debug)]
pub struct Material<'a> {
    /// The run's name.
    pub run: String,
    /// The run.
    pub state: &'a State,
    /// None where the fit has not ended by itself.
    pub fit: Option<Fit>,
    /// The model, as it would be exported.
    pub file: &'a ModelFile,
    /// The model of `file`, as the device reads it.
    pub model: Model<'a>,
    /// Held-out normal windows with their conditions, in physical units.
    pub holdout: &'a [f32],
    /// None where the run has not been calibrated.
    pub calibration: Option<&'a calibration::Report>,
    /// Scores of the normal windows that the model is calibrated on.
    pub normal_scores: &'a [f32],
    /// What int8 changes.
    pub quantisation: Option<&'a Quantisation>,
    /// None where there are none.
    pub data: Option<Data>,
    /// Of what is drawn at random.
    pub seed: u64,
}

impl Material<'_> {
    /// Windows to draw: those of the data where there are some, else the held-out ones.
    pub(crate) fn windows(&self) -> &[f32] {
        self.data.as_ref().map_or(self.holdout, |data| &data.scored.windows.values)
    }

    /// Values in a window and its condition.
    pub(crate) fn width(&self) -> usize {
        self.model.features() + self.model.conditions()
    }

    /// The windows with these indices, one after the other.
    pub(crate) fn gather(&self, windows: &[f32], indices: &[usize]) -> Vec<f32> {
        indices.iter().flat_map(|index| &windows[index * self.width()..][..self.width()]).copied().collect()
    }

    /// At most `most` of `indices`, drawn by the seed, in order.
    pub(crate) fn some(&self, indices: &[usize], most: usize) -> Vec<usize> {
        if indices.len() <= most {
            return indices.to_vec();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut chosen: Vec<usize> = sample(&mut rng, indices.len(), most).iter().map(|at| indices[at]).collect();
        chosen.sort_unstable();
        chosen
    }

    /// A name for each feature, of bands with their frequencies in Hz where the sample rate is known.
    pub(crate) fn feature_names(&self) -> Vec<String> {
        self.state.plan.schema.feature_names_at(self.file.calibration.sample_rate)
    }

    /// Whether a window is a square image of grey values.
    pub(crate) fn is_image(&self) -> bool {
        const LEAST_SIDE: usize = 8;
        let features = self.model.features();
        let side = features.isqrt();
        self.file.likelihood == LikelihoodKind::Bernoulli
            && self.model.window() == 1
            && side >= LEAST_SIDE
            && side * side == features
    }

    /// Whether a window is a piece of a stream that can be drawn over time.
    pub(crate) fn is_stream(&self) -> bool {
        self.model.window() > 1 && !self.model.has_front_end()
    }

    /// The horizontal axis of a piece of a stream: its label, and what one sample takes of it.
    pub(crate) fn time(&self) -> (&'static str, f64) {
        match self.file.calibration.sample_rate {
            rate if rate > 0.0 && rate < 10.0 => ("time in the window (s)", 1.0 / f64::from(rate)),
            rate if rate > 0.0 => ("time in the window (ms)", 1000.0 / f64::from(rate)),
            _ => ("sample in the window", 1.0),
        }
    }
}
