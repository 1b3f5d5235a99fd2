//! `vae-train generate`: new windows, and old ones changed along an attribute.

use std::{
    path::{Path, PathBuf},
    slice,
};

use anyhow::{Context as _, Result, bail, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use vae_core::{InferError, Model, Scratch};

use crate::{
    cli::context::{Context, note},
    data::for_model::{categories_of, origins_of, read_for_model},
    file::model_file::AlignedFile,
    report::image,
    run::posteriors::posteriors_for,
    tables::{
        category::{Categories, category_of},
        reading::Reading,
        recording::Label,
    },
    words::{
        messages::list,
        numbers::absolute,
        output::{Csv, Existing, write_file},
    },
};

/// Generate windows by decoding latent vectors: to a CSV file, or for square images to a PNG grid (--out x.png).
///
/// Latent vectors are drawn at random or, with --like, those of the windows of a file. With --attribute they are moved along it before they
/// are decoded. In the CSV file, names of columns that a spreadsheet would take for formulas have an apostrophe before them, which vae-train
/// takes away when it reads the file (docs/tables.md).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train generate model.vae -n 100 --out samples.csv
  vae-train generate model.vae --like test.csv --attribute load --amount 0.5 --out changed.csv")]
pub(super) struct Generate {
    /// Model file (.vae).
    model: PathBuf,
    /// Where latent vectors are drawn from.
    #[arg(long, help_heading = "Latent vectors", value_enum, default_value_t = Source::Prior)]
    from: Source,
    /// Run that keeps posteriors (fit with --posteriors), for --from posteriors.
    #[arg(long, help_heading = "Latent vectors", required_if_eq("from", "posteriors"))]
    run: Option<PathBuf>,
    /// Value of a condition of a conditional model, as name=value; give one for each condition.
    #[arg(long, help_heading = "Latent vectors", value_name = "NAME=VALUE")]
    condition: Vec<String>,
    /// Table of windows to encode, instead of drawing latent vectors.
    #[arg(long, help_heading = "Latent vectors", value_name = "DATA", conflicts_with_all = ["from", "condition", "run"])]
    like: Option<PathBuf>,
    /// Attribute of the model to move the latent vectors along: `vae-train attribute` learns one.
    #[arg(long, help_heading = "Latent vectors")]
    attribute: Option<String>,
    /// How far to move along --attribute: 1 is the mean difference between windows with the attribute and windows without.
    #[arg(long, help_heading = "Latent vectors", default_value_t = 1.0, allow_negative_numbers = true)]
    amount: f32,
    /// Number of windows to write; with --like, the most of them.
    #[arg(short, long, help_heading = "Output", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    number: u32,
    /// Draw each value from p(x|z), instead of writing its mean.
    #[arg(long, help_heading = "Output")]
    sample: bool,
    /// File to write: .csv, or .png for a grid of square images.
    #[arg(long, help_heading = "Output")]
    out: PathBuf,
    /// Replace an existing file.
    #[arg(long, help_heading = "Output")]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Source {
    /// The prior p(z).
    Prior,
    /// The aggregated posterior's mixture (fit with --mixture).
    Aggregate,
    /// The second stage (fit with --second-stage).
    SecondStage,
    /// The aggregated posterior itself: the posterior of one of the training windows that --run keeps, whatever their conditions were.
    Posteriors,
}

/// What a window is generated from.
#[derive(Clone)]
struct Input {
    /// The window to encode, instead of drawing a latent vector.
    like: Option<Vec<f32>>,
    condition: Vec<f32>,
}

#[derive(Serialize)]
struct Generated {
    out: PathBuf,
    windows: usize,
}

impl Generate {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        existing.check(&self.out)?;
        let file = AlignedFile::read(&self.model)?;
        let model = file.model()?;
        let mut rng = ChaCha8Rng::seed_from_u64(context.seed.unwrap_or(0));
        let inputs = self.inputs(&model)?;
        let posteriors = match (self.from, &self.run) {
            (Source::Posteriors, Some(run)) => Some(posteriors_for(&model, run)?),
            (_, Some(_)) => bail!("--run is for --from posteriors: leave it out, or give both"),
            (_, None) => None,
        };
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let (mut z, mut x) = (vec![0.0; model.latent()], vec![0.0; model.features()]);
        let mut windows = Vec::new();
        for (index, Input { like, condition }) in inputs.iter().enumerate() {
            let model = model.given(condition)?;
            let mut generate = || -> Result<(), InferError> {
                match (like, self.from) {
                    (Some(like), _) => model.encode(&like[..], &mut scratch)?.mean(&mut z[..])?,
                    (None, Source::Prior) => model.sample_prior(&mut rng, &mut z[..])?,
                    (None, Source::Aggregate) => model.sample_aggregate(&mut rng, &mut z[..])?,
                    (None, Source::SecondStage) => model.sample_second_stage(&mut rng, &mut z[..], &mut scratch)?,
                    (None, Source::Posteriors) => {
                        posteriors.as_ref().ok_or(InferError::Absent)?.sample(&mut rng, &mut z[..])?;
                    }
                }
                if let Some(attribute) = &self.attribute {
                    model.move_along(attribute, self.amount, &mut z[..])?;
                }
                if self.sample {
                    model.decode_sample(&z[..], &mut rng, &mut x[..], &mut scratch)
                } else {
                    model.decode(&z[..], &mut x[..], &mut scratch)
                }
            };
            generate().with_context(|| self.explain(&model, index))?;
            windows.extend_from_slice(&x);
        }
        if self.out.extension().is_some_and(|extension| extension == "png") {
            write_png(&self.out, existing, &windows, model.features())?;
        } else {
            write_csv(&self.out, existing, &windows, &model)?;
        }
        let text = format!("{} windows written to {}", inputs.len(), self.out.display());
        context.print(&Generated { out: self.out, windows: inputs.len() }, &text)
    }

    /// What each window is generated from.
    fn inputs(&self, model: &Model<'_>) -> Result<Vec<Input>> {
        if let Some(like) = &self.like {
            let (windows, left_out) = read_for_model(slice::from_ref(like), Label::None, &Reading::default(), model)?;
            left_out.iter().for_each(|message| note(message));
            let split = windows.iter().take(self.number as usize).map(|window| {
                let (x, condition) = window.split_at(model.features());
                Input { like: Some(x.to_vec()), condition: condition.to_vec() }
            });
            return Ok(split.collect());
        }
        let card = model.card()?;
        let names: Vec<&str> = card.conditions.lines().collect();
        let (mut condition, origins) = (vec![f32::NAN; names.len()], origins_of(model)?);
        let categories = categories_of(model)?;
        for given in &self.condition {
            let (name, value) =
                given.split_once('=').with_context(|| format!("--condition {given}: give name=value"))?;
            if let Some(known) = categories.iter().find(|known| known.column == name) {
                ensure!(
                    known.names.iter().any(|category| category == value),
                    "--condition {given}: the categories of `{name}` are {}",
                    list(&known.names)
                );
                let own = condition.iter_mut().zip(&names);
                let own = own.filter_map(|(slot, column)| Some((slot, category_of(column, name)?)));
                own.for_each(|(slot, category)| *slot = f32::from(u8::from(category == value)));
                continue;
            }
            let Some(index) = names.iter().position(|known| *known == name) else {
                bail!("the model has no condition `{name}`: its conditions are {}", list(&names));
            };
            let value: f64 =
                value.parse().with_context(|| format!("--condition {given}: `{value}` is not a number"))?;
            condition[index] = (value - origins[model.channels() + index]) as f32;
        }
        let absent: Vec<&str> =
            names.iter().zip(&condition).filter(|(_, value)| value.is_nan()).map(|(name, _)| *name).collect();
        ensure!(
            absent.is_empty(),
            "the model is conditional on {}: give each as --condition name=value",
            list(&absent)
        );
        Ok(vec![Input { like: None, condition }; self.number as usize])
    }

    /// What a failure has to do with what was asked for.
    fn explain(&self, model: &Model<'_>, index: usize) -> String {
        let names = model.attributes().map(|all| all.filter_map(Result::ok).map(|(name, _)| name).collect::<Vec<_>>());
        match (&self.attribute, self.from) {
            (Some(attribute), _) => {
                format!(
                    "window {index} along `{attribute}` (the model's attributes: {}; vae-train attribute learns one)",
                    list(&names.unwrap_or_default())
                )
            }
            (None, Source::Aggregate) => format!("window {index} from the aggregated posterior (fit with --mixture 8)"),
            (None, Source::SecondStage) => format!("window {index} from the second stage (fit with --second-stage)"),
            (None, Source::Prior | Source::Posteriors) => format!("window {index}"),
        }
    }
}

/// One row a sample, its categories by their names; windows of several samples are numbered in a first column.
fn write_csv(path: &Path, existing: Existing, windows: &[f32], model: &Model<'_>) -> Result<()> {
    let (card, origins) = (model.card()?, origins_of(model)?);
    ensure!(
        !model.has_front_end(),
        "this model sees features of the samples (fit --front-end) and can generate no samples: fit without --front-end"
    );
    write_file(path, existing, |out| {
        let numbered = model.window() > 1;
        let channels: Vec<&str> = card.channels.lines().collect();
        let categories = categories_of(model)?;
        let columns = columns_of_samples(&channels, &categories);
        let names = columns.iter().map(|column| column.name);
        let mut csv = Csv::under(numbered.then_some("window").into_iter().chain(names), out)?;
        for (index, window) in windows.chunks(model.features()).enumerate() {
            for sample in window.chunks(model.channels()) {
                let number = numbered.then(|| index.to_string());
                let values = columns.iter().map(|Column { first, categories, .. }| {
                    if categories.is_empty() {
                        return absolute(sample[*first], origins[*first]).to_string();
                    }
                    // The likeliest, or the one that was drawn.
                    let chances = sample[*first..].iter().zip(categories);
                    let likeliest = chances.max_by(|a, b| a.0.total_cmp(b.0));
                    likeliest.map_or_else(String::new, |(_, name)| (*name).to_owned())
                });
                csv.write_record(number.into_iter().chain(values))?;
            }
        }
        csv.flush()
    })
}

/// A column of what is written.
struct Column<'c> {
    name: &'c str,
    /// The channel, or the first of its categories.
    first: usize,
    /// Their names; none of a column of numbers.
    categories: Vec<&'c str>,
}

/// The columns that a model's channels stand for.
fn columns_of_samples<'c>(channels: &[&'c str], categories: &'c [Categories]) -> Vec<Column<'c>> {
    let mut columns: Vec<Column<'c>> = Vec::new();
    for (first, channel) in channels.iter().enumerate() {
        let of = |known: &'c Categories| Some((&*known.column, category_of(channel, &known.column)?));
        match (categories.iter().find_map(of), columns.last_mut()) {
            (Some((name, category)), Some(last)) if last.name == name => last.categories.push(category),
            (Some((name, category)), _) => columns.push(Column { name, first, categories: vec![category] }),
            (None, _) => columns.push(Column { name: channel, first, categories: Vec::new() }),
        }
    }
    columns
}

/// A grid of square grey images, as square as their number allows.
fn write_png(path: &Path, existing: Existing, windows: &[f32], features: usize) -> Result<()> {
    let count = windows.len() / features;
    let columns = (1..).find(|columns| columns * columns >= count).unwrap_or(1);
    let png = image::grid(windows, features, columns)?;
    write_file(path, existing, |out| Ok(out.write_all(&png)?))
}
