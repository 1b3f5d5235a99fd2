//! How near a model comes to densities that are known: the shapes of the simulator, fitted through the trainer's own command line, beside kernel
//! density estimates.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use vae_core::{Importance, Proposal, Scratch};
use vae_train::{
    file::model_file::AlignedFile,
    report::image::grid,
    scoring::{log_likelihood, log_likelihood::Estimate},
    simulator::{files::plane_tables, plane::Shape},
    statistics::kernel_density::{Bandwidth, KernelDensity},
};

use crate::trainer::{output, trainer};

/// Pixels of a picture's side.
const SIDE: usize = 120;
/// Shades of a picture, so that it stays small.
const SHADES: f64 = 16.0;
/// Columns of a shape: what it is, samples of the model, and its density.
const PICTURES: usize = 3;

/// How a fit is made and judged.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// Points to train on, and as many to test on.
    #[arg(long, default_value_t = 5000)]
    pub rows: usize,
    /// Samples of the posterior for each point.
    #[arg(long, default_value_t = 100)]
    pub samples: u32,
    /// Options of `fit`, with blanks between them.
    #[arg(long, default_value = "--purpose density", allow_hyphen_values = true)]
    pub fit: String,
}

/// What a fit came to. Mean log-densities of the test points, in nats.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    /// As the simulator has it.
    pub truth: Estimate,
    /// By the model, importance-weighted: in expectation a lower bound.
    pub model: f64,
    /// The truth less the model, point by point.
    pub below_truth: Estimate,
    /// By a kernel density estimate of the training points with the likeliest bandwidth.
    pub kernels: f64,
    /// The truth less the best kernel density estimate there is: with the bandwidth that the test points themselves are likeliest by.
    pub best_kernels_below_truth: f64,
    /// The model less that, point by point.
    pub above_kernels: Estimate,
    /// Of the model's latent dimensions, how many are in use.
    pub active_units: u64,
    /// That the fit took.
    pub seconds: f64,
}

/// A fitted model and the points around it.
pub struct Fitted {
    shape: Shape,
    file: AlignedFile,
    train: Vec<f32>,
    test: Vec<f32>,
    active_units: u64,
    seconds: f64,
}

/// Fits to a shape's points in a folder.
///
/// # Errors
/// If the trainer fails.
pub fn fit(shape: Shape, settings: &Settings, seed: u64, folder: &Path) -> Result<Fitted> {
    let [train, test, _] = plane_tables(shape, settings.rows, seed);
    let seed = seed.to_string();
    let rows = settings.rows.to_string();
    let run = |command: &str, more: &[&str]| {
        let words = command.split_whitespace().chain(more.iter().copied());
        output(trainer().args(words).args(["--seed", &seed]).current_dir(folder))
    };
    run(&format!("simulate {} --out data --force", shape.name()), &["--rows", &rows])?;
    let begin = Instant::now();
    let fitted =
        run("fit data/train.csv --out run --force --json", &settings.fit.split_whitespace().collect::<Vec<_>>())?;
    let seconds = begin.elapsed().as_secs_f64();
    run("export run --out model.vae --force --precision f32", &[])?;
    let fitted: serde_json::Value = serde_json::from_slice(&fitted).context("what the fit says is no JSON")?;
    let active_units = fitted["active_units"].as_u64().context("no active units")?;
    let file = AlignedFile::new(&fs::read(folder.join("model.vae"))?);
    Ok(Fitted { shape, file, train: train.values, test: test.values, active_units, seconds })
}

impl Fitted {
    /// Judges the model by the test points.
    ///
    /// # Errors
    /// If they cannot be scored.
    pub fn figures(&self, samples: u32) -> Result<Figures> {
        let points = || self.test.chunks_exact(2);
        let truth: Vec<f64> = points().map(|x| self.shape.log_density([f64::from(x[0]), f64::from(x[1])])).collect();
        let model = self.log_densities(&self.test, samples)?;
        let by = |bandwidth| -> Result<Vec<f64>> {
            let kernels = KernelDensity::with(&self.train, 2, bandwidth)?;
            Ok(points().map(|x| kernels.log_density(x)).collect())
        };
        let likeliest = KernelDensity::with(&self.train, 2, Bandwidth::LeaveOneOut)?.bandwidth();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let kernels = by(Bandwidth::Given(likeliest))?;
        let mut best = kernels.clone();
        for step in -8..=8 {
            let tried = by(Bandwidth::Given(likeliest * 1.08f64.powi(step)))?;
            if mean(&tried) > mean(&best) {
                best = tried;
            }
        }
        let difference = |a: &[f64], b: &[f64]| Estimate::of(a.iter().zip(b).map(|(a, b)| a - b));
        Ok(Figures {
            truth: Estimate::of(truth.iter().copied()),
            model: mean(&model),
            below_truth: difference(&truth, &model),
            kernels: mean(&kernels),
            best_kernels_below_truth: mean(&truth) - mean(&best),
            above_kernels: difference(&model, &best),
            active_units: self.active_units,
            seconds: self.seconds,
        })
    }

    fn log_densities(&self, points: &[f32], samples: u32) -> Result<Vec<f64>> {
        let importance = Importance { samples, proposal: Proposal::Posterior, decide: None };
        let found = log_likelihood(&self.file.model()?, points, &importance, 0)?;
        Ok(found.iter().map(|estimate| f64::from(estimate.value)).collect())
    }

    /// As many points of the model as there are to train on.
    fn samples(&self) -> Result<Vec<f32>> {
        let model = self.file.model()?;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let (mut z, mut x) = (vec![0.0; model.latent()], [0.0; 2]);
        let mut points = Vec::with_capacity(self.train.len());
        for _ in 0..self.train.len() / 2 {
            model.sample_prior(&mut rng, &mut z[..])?;
            model.decode_sample(&z[..], &mut rng, &mut x[..], &mut scratch)?;
            points.extend(x);
        }
        Ok(points)
    }

    /// The true density, as many samples of the model as it was trained on, and the model's density: square images.
    ///
    /// # Errors
    /// If the model cannot be evaluated.
    pub fn images(&self, samples: u32) -> Result<[Vec<f32>; PICTURES]> {
        let width = 1.05 * self.test.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
        let at = |index: usize| width * ((2 * index + 1) as f32 / SIDE as f32 - 1.0);
        // The first row is the top.
        let pixels: Vec<f32> = (0..SIDE * SIDE).flat_map(|pixel| [at(pixel % SIDE), -at(pixel / SIDE)]).collect();
        let truth: Vec<f64> =
            pixels.chunks_exact(2).map(|x| self.shape.log_density([f64::from(x[0]), f64::from(x[1])])).collect();
        let model = self.log_densities(&pixels, samples)?;
        let largest = truth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shades =
            |nats: &[f64]| -> Vec<f32> { nats.iter().map(|nats| shade((0.5 * (nats - largest)).exp())).collect() };
        let mut counts = vec![0.0; SIDE * SIDE];
        for x in self.samples()?.chunks_exact(2) {
            let place = |x: f32| ((x / width + 1.0) * 0.5 * SIDE as f32).floor();
            let (column, row) = (place(x[0]), place(-x[1]));
            if [column, row].iter().all(|place| (0.0..SIDE as f32).contains(place)) {
                counts[row as usize * SIDE + column as usize] += 1.0;
            }
        }
        let scatter = counts.iter().map(|count: &f64| if *count > 0.0 { shade(0.5 + 0.25 * count) } else { 0.0 });
        Ok([shades(&truth), scatter.collect(), shades(&model)])
    }
}

fn shade(share: f64) -> f32 {
    ((share.clamp(0.0, 1.0) * SHADES).round() / SHADES) as f32
}

/// A PNG with a column for each shape: its density, samples of the model, and the model's density below each other.
///
/// # Errors
/// If it cannot be encoded.
pub fn picture(shapes: &[[Vec<f32>; PICTURES]]) -> Result<Vec<u8>> {
    let rows: Vec<f32> =
        (0..PICTURES).flat_map(|row| shapes.iter().flat_map(move |images| images[row].iter().copied())).collect();
    grid(&rows, SIDE * SIDE, shapes.len())
}
