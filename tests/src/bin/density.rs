//! How near a model comes to densities that are known, beside kernel density estimates; and a picture of that.
//!
//! `density --help` lists the options.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use vae_tests::{
    density::{Figures, Settings, fit, picture},
    trainer::program_or_trainer,
};
use vae_train::simulator::plane::Shape;

/// How near a model comes to densities that are known.
#[derive(Parser)]
struct Options {
    /// Which ones [default: all].
    shapes: Vec<Shape>,
    /// Points and fits by these seeds.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [0])]
    seeds: Vec<u64>,
    #[command(flatten)]
    settings: Settings,
    /// A PNG of the first seed: a column for each shape with its density, samples of the model, and the model's density.
    #[arg(long)]
    picture: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Of a shape and a seed.
#[derive(Serialize)]
struct Report {
    shape: String,
    seed: u64,
    #[serde(flatten)]
    figures: Figures,
}

fn main() -> ExitCode {
    program_or_trainer(compare)
}

fn compare() -> Result<()> {
    let options = Options::parse();
    let shapes = if options.shapes.is_empty() { Shape::value_variants() } else { &options.shapes };
    if !options.json {
        println!(
            "{:<16}{:>5}{:>9}{:>9}{:>18}{:>15}{:>19}{:>7}{:>9}",
            "shape",
            "seed",
            "truth",
            "model",
            "below the truth",
            "best kernels",
            "above best kernels",
            "units",
            "seconds"
        );
    }
    let (mut reports, mut images) = (Vec::new(), Vec::new());
    for &shape in shapes {
        for seed in &options.seeds {
            let place = tempfile::tempdir()?;
            let fitted = fit(shape, &options.settings, *seed, place.path()).with_context(|| shape.name())?;
            let figures = fitted.figures(options.settings.samples)?;
            if !options.json {
                print(shape, *seed, &figures);
            }
            reports.push(Report { shape: shape.name(), seed: *seed, figures });
            if options.picture.is_some() && *seed == options.seeds[0] {
                images.push(fitted.images(options.settings.samples)?);
            }
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    }
    if let Some(path) = options.picture {
        fs::write(&path, picture(&images)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn print(shape: Shape, seed: u64, figures: &Figures) {
    let Figures { truth, model, below_truth, best_kernels_below_truth, above_kernels, active_units, seconds, .. } =
        figures;
    let with_error = |mean: f64, error: f64| format!("{mean:.3} ± {error:.3}");
    println!(
        "{:<16}{seed:>5}{:>9.3}{model:>9.3}{:>18}{best_kernels_below_truth:>15.3}{:>19}{active_units:>7}{seconds:>9.0}",
        shape.name(),
        truth.mean,
        with_error(below_truth.mean, below_truth.standard_error),
        with_error(above_kernels.mean, above_kernels.standard_error),
    );
}
