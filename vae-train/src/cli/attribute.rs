//! `vae-train attribute`: learn a direction in latent space from a column of zeros and ones.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::{
    cli::context::{Context, note},
    data::for_model::read_for_model,
    file::model_file::AlignedFile,
    run::{export::RunModel, lock::Access},
    scoring::latent_means,
    tables::{reading::Reading, recording::Label},
    weights::attribute::Attribute as Direction,
    words::messages::{quoted, quoted_paths},
};

/// Learn a named direction in latent space: the mean latent vector of windows labelled 1 less that of those labelled 0.
///
/// The run keeps it, and export writes it into the model file; `generate --attribute` moves along it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train attribute runs/a data.csv --label loaded --name load")]
pub(super) struct Attribute {
    /// Run directory of a fit or an import.
    run: PathBuf,
    /// Table with the model's columns and the label.
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Column of zeros and ones that says which windows have the attribute.
    #[arg(long)]
    label: String,
    /// The attribute's name [default: the label's].
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Replace an attribute of the same name.
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Learned {
    name: String,
    windows_with: usize,
    windows_without: usize,
    direction: Vec<f32>,
}

impl Attribute {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let RunModel { directory, file, .. } = RunModel::open(&self.run, Access::Write)?;
        let mut extras = directory.extras()?;
        let name = self.name.unwrap_or_else(|| self.label.clone());
        ensure!(
            self.force || extras.attributes.iter().all(|attribute| attribute.name != name),
            "the run has an attribute `{name}` already: give another --name, or --force to replace it"
        );
        let file = AlignedFile::new(&file.to_bytes()?);
        let model = file.model()?;
        let (windows, left_out) = read_for_model(&self.data, Label::Column(&self.label), &self.reading, &model)?;
        left_out.iter().for_each(|message| note(message));
        let labels = windows.labels.as_deref().context("the data have no labels")?;
        let latent = model.latent();
        let means = latent_means(&model, &windows.values).with_context(|| quoted_paths(&self.data))?;
        let average = |with: bool| {
            let chosen = || means.iter().zip(labels).filter(|(_, label)| **label == with).map(|(mean, _)| mean);
            let count = chosen().count();
            let mean = |axis: usize| chosen().map(|mean| f64::from(mean[axis])).sum::<f64>() / count as f64;
            (count, (0..latent).map(mean).collect::<Vec<f64>>())
        };
        let ((with, mean_with), (without, mean_without)) = (average(true), average(false));
        ensure!(
            with > 0 && without > 0,
            "{}: {with} windows are labelled 1 by `{}` and {without} are labelled 0: give windows of both kinds",
            quoted_paths(&self.data),
            self.label
        );
        let direction: Vec<f32> = mean_with.iter().zip(&mean_without).map(|(a, b)| (a - b) as f32).collect();
        extras.attributes.retain(|attribute| attribute.name != name);
        extras.attributes.push(Direction { name: name.clone(), direction: direction.clone() });
        directory.save_extras(&extras)?;
        let text = format!(
            "{name}: learned from {with} windows with the attribute and {without} windows without it\nnext: vae-train export {} --out \
             model.vae",
            quoted(self.run.display())
        );
        context.print(&Learned { name, windows_with: with, windows_without: without, direction }, &text)
    }
}
