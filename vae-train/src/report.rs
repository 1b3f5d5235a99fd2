//! A run as a page for people: one HTML file that loads nothing.
//!
//! [`Material`] is what the other modules have found out; nothing is computed here that `evaluate`, `calibrate`, `export` or `info` would
//! compute otherwise. [`Fitness`] says what it comes to, and each of the other modules draws a part: `training`, `scores`, `detection`,
//! `latent`, `windows`, `generated` and `device`, with `chart`, `bars` and `page` to draw with. Text is escaped by maud.

mod bars;
mod chart;
mod detection;
mod device;
mod generated;
mod latent;
mod page;
mod scores;
mod training;
mod verdict;
mod windows;

use anyhow::Result;
use maud::html;
use rand::{SeedableRng, seq::index::sample};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use vae_core::{Model, format::LikelihoodKind};

use crate::{
    calibration,
    evaluation::{Evaluation, Scored},
    fitness::Fitness,
    model_file::ModelFile,
    quantisation::Quantisation,
    run::State,
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
    /// The same, as the device reads it.
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
    /// What it all comes to.
    #[must_use]
    pub fn verdict(&self) -> Fitness {
        verdict::fitness(self)
    }

    /// The page.
    ///
    /// # Errors
    /// If the model is faulty, or a window cannot be scored.
    pub fn page(&self) -> Result<String> {
        let title = format!("Anomaly detector of {}", self.run);
        let subtitle = training::subtitle(self)?;
        let mut sections = vec![("summary", "Summary", verdict::draw(&self.verdict(), self)?)];
        sections.push(("data", "Data and settings", training::data(self)?));
        sections.push(("training", "Training", training::curves(self)));
        sections.push(("scores", "Scores and threshold", scores::threshold(self)));
        if let Some(detection) = detection::detection(self) {
            sections.push(("detection", "Detection", detection));
        }
        sections.push(("windows", "Strangest windows", windows::worst(self)?));
        sections.push(("latent", "Latent space", latent::space(self)?));
        sections.push(("generated", "Generated windows", generated::generated(self)?));
        sections.push(("device", "On the device", device::device(self)?));
        sections.push(("glossary", "Words", glossary()));
        Ok(page::page(&title, &subtitle, &sections))
    }

    /// Windows to draw: those of the data where there are some, else the held-out ones.
    fn windows(&self) -> &[f32] {
        self.data.as_ref().map_or(self.holdout, |data| &data.scored.windows.values)
    }

    /// Values in a window and its condition.
    fn width(&self) -> usize {
        self.model.features() + self.model.conditions()
    }

    /// The windows with these indices, one after the other.
    fn gather(&self, windows: &[f32], indices: &[usize]) -> Vec<f32> {
        indices.iter().flat_map(|index| &windows[index * self.width()..][..self.width()]).copied().collect()
    }

    /// At most `most` of `indices`, drawn by the seed, in order.
    fn some(&self, indices: &[usize], most: usize) -> Vec<usize> {
        if indices.len() <= most {
            return indices.to_vec();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut chosen: Vec<usize> = sample(&mut rng, indices.len(), most).iter().map(|at| indices[at]).collect();
        chosen.sort_unstable();
        chosen
    }

    /// Whether a window is a square image of grey values.
    fn is_image(&self) -> bool {
        const LEAST_SIDE: usize = 8;
        let features = self.model.features();
        let side = features.isqrt();
        self.file.likelihood == LikelihoodKind::Bernoulli
            && self.model.window() == 1
            && side >= LEAST_SIDE
            && side * side == features
    }

    /// Whether a window is a piece of a stream that can be drawn over time.
    fn is_stream(&self) -> bool {
        self.model.window() > 1 && !self.model.has_front_end()
    }

    /// The horizontal axis of a piece of a stream: its label, and what one sample takes of it.
    fn time(&self) -> (&'static str, f64) {
        match self.file.calibration.sample_rate {
            rate if rate > 0.0 && rate < 10.0 => ("time in the window (s)", 1.0 / f64::from(rate)),
            rate if rate > 0.0 => ("time in the window (ms)", 1000.0 / f64::from(rate)),
            _ => ("sample in the window", 1.0),
        }
    }
}

fn glossary() -> maud::Markup {
    let words = [
        ("Window", "What is judged at once: one row of a table, or so many samples of a stream."),
        (
            "Score",
            "How well the model explains a window, in nats: the evidence lower bound (ELBO), or the log-likelihood where calibrate was \
             told so. Higher is more normal. It may be above 0, as a density may.",
        ),
        ("Nat", "A unit of improbability: each nat less is a window that is e = 2.7 times less probable."),
        ("Threshold", "A window that scores lower is anomalous, and votes for an alarm."),
        ("Alarm", "Raised when enough of the last windows vote for it; what is promised per week are alarms."),
        (
            "Reconstruction",
            "What the model expects a window to look like, after compressing it into a few latent numbers.",
        ),
        (
            "KL",
            "Kullback–Leibler divergence from the prior: what the latent numbers of a window tell, in nats. Score = reconstruction term − KL.",
        ),
        ("AUROC", "The chance that an anomalous window scores lower than a normal one; 0.5 is guessing, 1 is perfect."),
        (
            "Average precision",
            "Area under the curve of precision over recall; guessing gives the share of anomalies in the data.",
        ),
    ];
    html! { dl class="words" { @for (word, meaning) in words { dt { (word) } dd { (meaning) } } } }
}
