//! `vae-train simulate`: the built-in vibration simulator, to CSV.

use std::{path::PathBuf, sync::LazyLock};

use anyhow::Result;
use clap::{ValueEnum, builder::PossibleValue};
use serde::Serialize;

use crate::{
    cli::context::Context,
    simulator::{
        files::{
            Format, TRAINING_SECONDS, ToyTable, plane_tables, test_seed, write_motor, write_plant, write_pump,
            write_toy,
        },
        motor::{CHANNELS, SAMPLE_RATE},
        plane::Shape,
        toy,
    },
    words::output::Existing,
};

/// Write simulated data to CSV files: train.csv and test.csv; for the motor also one file per condition, for the pump holdout.csv, for
/// shapes in the plane density.csv, the true log-density of each row of test.csv in nats.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train simulate motor --out data --seconds 80
  vae-train simulate pump --out pump
  vae-train simulate linear-gaussian --out toy --rows 1000
  vae-train simulate two-moons --out moons --rows 5000
  vae-train simulate plant --out plant --rows 100000000")]
pub(super) struct Simulate {
    /// What to simulate.
    source: Source,
    /// Directory for the CSV files.
    #[arg(long)]
    out: PathBuf,
    /// Motor: seconds of normal running to train on.
    ///
    /// For each condition to test on, a quarter of that time is simulated. In test.csv, half of it, at most 40 s, of normal running stands before
    /// and after each fault.
    #[arg(long, default_value_t = TRAINING_SECONDS)]
    seconds: f64,
    /// Plant and toy sets (all but motor and pump): rows to train on; a tenth as many of the plant, and as many of the others, are written to
    /// test on.
    #[arg(long, default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=2_000_000_000))]
    rows: u32,
    /// Plant: write Parquet files instead of CSV.
    #[arg(long)]
    parquet: bool,
    /// Replace existing files.
    #[arg(long)]
    force: bool,
}

/// Most rows of a toy set.
const MOST_TOYS: u32 = 10_000_000;

#[derive(Clone, Copy, Debug)]
enum Source {
    Motor,
    Pump,
    Plant,
    Shape(Shape),
    LinearGaussian,
    Patterns,
}

impl ValueEnum for Source {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<Source>> = LazyLock::new(|| {
            let shapes = Shape::value_variants().iter().map(|shape| Source::Shape(*shape));
            [Source::Motor, Source::Pump, Source::Plant]
                .into_iter()
                .chain(shapes)
                .chain([Source::LinearGaussian, Source::Patterns])
                .collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Motor => {
                ("motor", "A motor with a three-axis accelerometer at 1600 Hz, healthy and with five faults")
            }
            Self::Pump => (
                "pump",
                "The log of a pump, a row a second with the time: 18 hours, 72 to hold out, and 2 in which a sensor sticks and the filter clogs",
            ),
            Self::Plant => (
                "plant",
                "Eight sensors of a plant that follow two loads, a row a second: as many rows as are asked for",
            ),
            Self::Shape(shape) => return shape.to_possible_value(),
            Self::LinearGaussian => {
                ("linear-gaussian", "Six features, linear in two latents, with Gaussian noise: its evidence is known")
            }
            Self::Patterns => ("patterns", "Sixteen bits in groups of four, each group switched by a fair coin"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

#[derive(Serialize)]
struct Written {
    files: Vec<PathBuf>,
    /// Mean of density.csv, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_density: Option<f64>,
}

impl Simulate {
    pub(super) fn run(self, context: Context) -> Result<()> {
        anyhow::ensure!(
            self.seconds.is_finite() && (1.0..=1e5).contains(&self.seconds),
            "--seconds {}: give 1 to 100000",
            self.seconds
        );
        let is_plant = matches!(self.source, Source::Plant);
        anyhow::ensure!(
            is_plant || self.rows <= MOST_TOYS,
            "--rows {}: toy sets are made in memory: give at most {MOST_TOYS}, or simulate a plant",
            self.rows
        );
        anyhow::ensure!(is_plant || !self.parquet, "--parquet is for the plant: leave it out");
        let (seed, existing) = (context.seed.unwrap_or(0), Existing::from_force(self.force));
        let rows = self.rows as usize;
        // Other points to test on than to train on.
        let seeds = [("train.csv", seed), ("test.csv", test_seed(seed))];
        let toy = |prefix: &str, columns: usize, draw: &dyn Fn(usize, u64) -> Vec<f32>| {
            let columns: Vec<String> = (0..columns).map(|column| format!("{prefix}{column}")).collect();
            let table = |(name, seed)| ToyTable { name, columns: columns.clone(), values: draw(rows, seed) };
            write_toy(&self.out, existing, &seeds.map(table))
        };
        let mut log_density = None;
        let mut plane = |shape: Shape| -> Result<(Vec<PathBuf>, String)> {
            let tables = plane_tables(shape, rows, seed);
            let mean = tables[2].values.iter().map(|nats| f64::from(*nats)).sum::<f64>() / f64::from(self.rows);
            log_density = Some(mean);
            let what = format!("points of {}, with a mean log-density of {mean:.4} nats in test.csv", shape.name());
            Ok((write_toy(&self.out, existing, &tables)?, what))
        };
        let (files, what) = match self.source {
            Source::Motor => {
                let what = format!("{SAMPLE_RATE} samples a second of {} in g", CHANNELS.join(", "));
                (write_motor(&self.out, self.seconds, seed, existing)?, what)
            }
            Source::Pump => (write_pump(&self.out, seed, existing)?, "the log of a pump, a row a second".to_owned()),
            Source::Plant => {
                let format = if self.parquet { Format::Parquet } else { Format::Csv };
                let what = "the log of a plant, a row a second".to_owned();
                (write_plant(&self.out, rows, seed, format, existing)?, what)
            }
            Source::Shape(shape) => plane(shape)?,
            Source::LinearGaussian => {
                (toy("x", toy::LINEAR.0, &toy::linear_gaussian)?, "a linear-Gaussian source".to_owned())
            }
            Source::Patterns => (toy("bit", toy::PATTERN.0, &toy::patterns)?, "binary patterns".to_owned()),
        };
        let list: Vec<String> = files.iter().map(|file| format!("  {}", file.display())).collect();
        context.print(&Written { files, log_density }, &format!("{what}, written to\n{}", list.join("\n")))
    }
}
