//! `vae-train report`: a run as a page for people.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::{
    cli::context::{Context, Notes, note},
    data::for_model::{DataForModel, read_table_for_model},
    file::model_file::AlignedFile,
    report::written::Reported,
    run::{candidate::Candidate, directory::RunDirectory, lock::Access},
    tables::{reading::Reading, recording::Label, table::Table},
    words::output::Existing,
};

/// Write one HTML page about a run: whether the model is fit for use, how it was trained, what its threshold means and what it costs.
///
/// With --data it also shows what the model finds there. The page is complete in itself and loads nothing.
///
/// The model is the one that `export` would write: int8, or f32 where int8 changes too many verdicts.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  vae-train report runs/a --out report.html\n  vae-train report runs/a --out report.html --data test.csv"
)]
pub(super) struct Report {
    /// Run directory of a fit.
    run: PathBuf,
    /// HTML file to write.
    #[arg(long, help_heading = "Output")]
    out: PathBuf,
    /// Table with the model's columns, in any order, to try the model on.
    ///
    /// Several files, a directory, or a pattern as in 'recordings/*.wav' are one input.
    #[arg(long, num_args = 1.., help_heading = "Data")]
    data: Vec<PathBuf>,
    /// With --data: column that says 0 normal / 1 anomaly [default: `label`, if there is one].
    #[arg(long, help_heading = "Data", requires = "data")]
    label: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Replace an existing file.
    #[arg(long, help_heading = "Output")]
    force: bool,
}

impl Report {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        existing.check(&self.out)?;
        ensure!(
            RunDirectory::open_imported(&self.run, Access::Read)?.is_none(),
            "{} holds an imported model, and report needs a run of fit: export the model and try it by vae-train evaluate",
            self.run.display()
        );
        let candidate = Candidate::fit_to_export(&self.run)?;
        let data = match &self.data[..] {
            [] => None,
            data => Some(read_data(&candidate, data, self.label.as_deref(), &self.reading)?),
        };
        let seed = context.seed.unwrap_or(0);
        let reported = Reported::write(candidate, data, seed, &self.out, existing, &mut Notes)?;
        let text = format!("{}: {} bytes\n{}", reported.report.display(), reported.bytes, reported.verdict.lines());
        context.print(&reported, &text)
    }
}

/// The model's columns of a file, and its labels where it has some.
pub(super) fn read_data(
    candidate: &Candidate,
    data: &[PathBuf],
    label: Option<&str>,
    reading: &Reading,
) -> Result<Table> {
    let file = &candidate.file;
    let columns: Vec<&str> = file.channels.iter().chain(&file.conditions).map(String::as_str).collect();
    let label = Label::of(label, &columns);
    let bytes = AlignedFile::new(&file.to_bytes()?);
    let DataForModel { table, notes, .. } = read_table_for_model(data, label, reading, &bytes.model()?)?;
    notes.iter().for_each(|message| note(message));
    Ok(table)
}
