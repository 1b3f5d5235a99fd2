//! `vae-train diff`: what changes when one model replaces another.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use serde_json::Value;
use vae_core::Model;

use super::info::Description;
use crate::{
    cli::context::{Context, note},
    data::{
        for_model::{DataForModel, columns_of, origins_of, read_table_for_model},
        front_end::of_model,
        windows::Windows,
    },
    file::model_file::AlignedFile,
    run::quantisation::{MOST_FLIPPED, ScoreShift},
    scoring,
    statistics::metrics::{Detection, quantile, rank_correlation},
    tables::{reading::Reading, recording::Label},
    words::{foreign::line, messages::list},
};

/// Compare two model files of the same channels: what each needs of the device, and with --data how scores and verdicts change.
///
/// Each model judges by its own threshold.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train diff old.vae new.vae
  vae-train diff old.vae new.vae --data holdout.csv --label label")]
pub(super) struct Diff {
    /// Model file that is in use.
    old: PathBuf,
    /// Model file that may replace it.
    new: PathBuf,
    /// Table that both models score.
    ///
    /// Several files, a directory, or a pattern as in 'recordings/*.wav' are one input.
    #[arg(long, num_args = 1.., help_heading = "Data")]
    data: Vec<PathBuf>,
    /// With --data: column that says 0 normal / 1 anomaly [default: `label`, if there is one].
    #[arg(long, help_heading = "Data", requires = "data")]
    label: Option<String>,
    #[command(flatten)]
    reading: Reading,
}

/// What differs between two models.
#[derive(Serialize)]
struct Difference {
    old: PathBuf,
    new: PathBuf,
    /// What `info` says of them that is not the same.
    changes: Vec<Change>,
    /// `None` without data.
    scores: Option<Scores>,
    /// What a user of the old model will notice; empty if nothing.
    matters: Vec<String>,
}

#[derive(Serialize)]
struct Change {
    what: String,
    old: Value,
    new: Value,
}

/// Both models on the same windows.
#[derive(Serialize)]
struct Scores {
    windows: usize,
    /// New less old.
    score_shift: ScoreShift,
    /// Interquartile range of the old model's ELBOs, in nats.
    spread: f64,
    /// Spearman's, of the ELBOs.
    rank_correlation: Option<f64>,
    /// Windows that only the new model calls anomalous.
    newly_anomalous: usize,
    /// Windows that only the old model does.
    no_longer_anomalous: usize,
    labelled: Option<Labelled>,
}

/// How well each model tells anomalies: the old one, then the new one.
#[derive(Serialize)]
struct Labelled {
    anomalies: usize,
    auroc: [f64; 2],
    /// New less old.
    auroc_difference: f64,
    false_alarm_rate: [f64; 2],
    detection_rate: [f64; 2],
}

/// Change of the AUROC, and rank correlation, that matter.
const AUROC: f64 = 0.005;
const SAME_ORDER: f64 = 0.95;

impl Diff {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let (old_file, new_file) = (AlignedFile::read(&self.old)?, AlignedFile::read(&self.new)?);
        let (old, new) = (old_file.model()?, new_file.model()?);
        self.check(&old, &new)?;
        let changes = changes(&Description::of(&self.old, &old)?, &Description::of(&self.new, &new)?)?;
        let scores = (!self.data.is_empty()).then(|| self.scores(&old, &new)).transpose()?;
        let matters = matters(&old, &new, scores.as_ref());
        let difference = Difference { old: self.old, new: self.new, changes, scores, matters };
        context.print(&difference, &text(&difference)?)
    }

    /// Refuses models whose scores are of different things.
    fn check(&self, old: &Model<'_>, new: &Model<'_>) -> Result<()> {
        let (old_card, new_card) = (old.card()?, new.card()?);
        for (what, a, b) in [
            ("channels", old_card.channels, new_card.channels),
            ("conditions", old_card.conditions, new_card.conditions),
        ] {
            ensure!(
                a == b,
                "the models' {what} differ: {} in {}, {} in {}; judge each model by itself: vae-train evaluate",
                list(&a.lines().collect::<Vec<_>>()),
                self.old.display(),
                list(&b.lines().collect::<Vec<_>>()),
                self.new.display()
            );
        }
        ensure!(
            old.window() == new.window(),
            "{} scores windows of {} samples and {} windows of {}: such scores cannot be compared; judge each model by itself: \
             vae-train evaluate",
            self.old.display(),
            old.window(),
            self.new.display(),
            new.window()
        );
        Ok(())
    }

    fn scores(&self, old: &Model<'_>, new: &Model<'_>) -> Result<Scores> {
        let label = Label::of(self.label.as_deref(), &columns_of(old)?);
        let DataForModel { table, notes, .. } = read_table_for_model(&self.data, label, &self.reading, old)?;
        notes.iter().for_each(|message| note(message));
        let path = table.path.clone();
        let name = || path.display().to_string();
        // The same samples, of which each model sees the features of its own front-ends, less its own origins.
        let origins = origins_of(new)?;
        let moved = (origins != origins_of(old)?).then(|| table.rebased(&origins));
        let cut = |table| Windows::cut(table, old.conditions(), old.window(), old.hop());
        let (windows, moved) = (cut(table)?, moved.map(cut).transpose()?);
        let elbos = |windows: &Windows, model| {
            let features = windows.clone().through(&of_model(model)?)?;
            scoring::of_device(model, &features.values).with_context(name)
        };
        let elbos = [elbos(&windows, old)?, elbos(moved.as_ref().unwrap_or(&windows), new)?];
        let calibrations = [old.calibration()?, new.calibration()?];
        let verdicts = [0, 1].map(|model| {
            elbos[model].iter().map(|elbo| calibrations[model].is_anomalous(*elbo)).collect::<Vec<bool>>()
        });
        let only = |model: usize| verdicts[model].iter().zip(&verdicts[1 - model]).filter(|(a, b)| **a && !**b).count();
        let mut sorted = elbos[0].clone();
        sorted.sort_by(f32::total_cmp);
        Ok(Scores {
            windows: windows.len(),
            score_shift: ScoreShift::between(&elbos[1], &elbos[0])?,
            spread: f64::from(quantile(&sorted, 0.75)) - f64::from(quantile(&sorted, 0.25)),
            rank_correlation: rank_correlation(&elbos[0], &elbos[1]),
            newly_anomalous: only(1),
            no_longer_anomalous: only(0),
            labelled: labelled(&windows, &elbos, &verdicts).with_context(name)?,
        })
    }
}

/// `None` without labels, or if all are the same.
fn labelled(windows: &Windows, elbos: &[Vec<f32>; 2], verdicts: &[Vec<bool>; 2]) -> Result<Option<Labelled>> {
    let Some(labels) = &windows.labels else { return Ok(None) };
    let anomalies = labels.iter().filter(|label| **label).count();
    if anomalies == 0 || anomalies == labels.len() {
        return Ok(None);
    }
    let auroc = |elbos: &[f32]| -> Result<f64> {
        let scores: Vec<f64> = elbos.iter().map(|elbo| -f64::from(*elbo)).collect();
        Ok(Detection::of(&scores, labels)?.auroc)
    };
    let rate = |verdicts: &[bool], of: bool| {
        let chosen = || verdicts.iter().zip(labels).filter(|(_, label)| **label == of);
        chosen().filter(|(verdict, _)| **verdict).count() as f64 / chosen().count() as f64
    };
    let auroc = [auroc(&elbos[0])?, auroc(&elbos[1])?];
    Ok(Some(Labelled {
        anomalies,
        auroc,
        auroc_difference: auroc[1] - auroc[0],
        false_alarm_rate: [0, 1].map(|model| rate(&verdicts[model], false)),
        detection_rate: [0, 1].map(|model| rate(&verdicts[model], true)),
    }))
}

/// The entries of two descriptions that are not the same, the file's name apart.
fn changes(old: &Description, new: &Description) -> Result<Vec<Change>> {
    let (old, new) = (serde_json::to_value(old)?, serde_json::to_value(new)?);
    let mut changes = Vec::new();
    for (what, old) in old.as_object().into_iter().flatten().filter(|(what, _)| *what != "model") {
        let new = &new[what];
        match old.as_object() {
            Some(entries) => changes.extend(entries.iter().map(|(key, old)| Change {
                what: format!("{what} {key}"),
                old: old.clone(),
                new: new[key].clone(),
            })),
            None => changes.push(Change { what: what.clone(), old: old.clone(), new: new.clone() }),
        }
    }
    changes.retain(|change| change.old != change.new);
    Ok(changes)
}

fn matters(old: &Model<'_>, new: &Model<'_>, scores: Option<&Scores>) -> Vec<String> {
    let mut matters = Vec::new();
    if let Some(scores) = scores {
        let flipped = scores.newly_anomalous + scores.no_longer_anomalous;
        if flipped > 2 && flipped as f64 > MOST_FLIPPED * scores.windows as f64 {
            matters.push(format!(
                "the verdict flips on {:.1} % of the windows",
                100.0 * flipped as f64 / scores.windows as f64
            ));
        }
        if let Some(correlation) = scores.rank_correlation.filter(|correlation| *correlation < SAME_ORDER) {
            matters.push(format!(
                "the models rank the windows differently (rank correlation {correlation:.3}, where 1 is the same order)"
            ));
        }
        if let Some(difference) = scores.labelled.as_ref().map(|l| l.auroc_difference).filter(|d| d.abs() > AUROC) {
            let way = if difference > 0.0 { "rises" } else { "falls" };
            matters.push(format!("the AUROC {way} by {:.4}", difference.abs()));
        }
    }
    if old.hop() != new.hop() {
        matters.push(format!("a window comes every {} samples instead of every {}", new.hop(), old.hop()));
    }
    for (what, old, new) in
        [("flash", old.flash_len(), new.flash_len()), ("scratch", 4 * old.scratch_len(), 4 * new.scratch_len())]
    {
        if new > old {
            matters.push(format!("the new model needs {} bytes more of {what}", new - old));
        }
    }
    matters
}

fn text(difference: &Difference) -> Result<String> {
    let Difference { old, new, changes, scores, matters } = difference;
    let mut text = String::new();
    writeln!(text, "{} → {}", old.display(), new.display())?;
    for Change { what, old, new } in changes {
        writeln!(text, "  {:<24} {} → {}", what.replace('_', " "), short(what, old), short(what, new))?;
    }
    if changes.is_empty() {
        writeln!(text, "  shape, sizes, threshold and origin are the same")?;
    }
    if let Some(scores) = scores {
        let ScoreShift { mean, mean_magnitude, magnitude_95, largest } = scores.score_shift;
        writeln!(
            text,
            "\n{} windows, scored by both models; a shift is the new score less the old one",
            scores.windows
        )?;
        writeln!(
            text,
            "  score shift              {mean:.3} nats on average; in magnitude {mean_magnitude:.3} on average, at most \
             {magnitude_95:.3} for 95 % of the windows and {largest:.3} for all (the old scores have an interquartile range of {:.3})",
            scores.spread
        )?;
        if let Some(correlation) = scores.rank_correlation {
            writeln!(text, "  rank correlation         {correlation:.4}")?;
        }
        writeln!(
            text,
            "  verdicts                 {} windows newly anomalous, {} no longer anomalous",
            scores.newly_anomalous, scores.no_longer_anomalous
        )?;
        if let Some(Labelled { auroc, auroc_difference, false_alarm_rate, detection_rate, .. }) = &scores.labelled {
            let [a, b] = auroc;
            writeln!(text, "  AUROC                    {a:.4} → {b:.4} ({auroc_difference:+.4})")?;
            for (what, [a, b]) in [("false-alarm rate", false_alarm_rate), ("detection rate", detection_rate)] {
                writeln!(text, "  {what:<24} {a:.4} → {b:.4}")?;
            }
        }
    }
    let verdict = match (matters.is_empty(), scores) {
        (false, _) => format!("what matters: {}", matters.join("; ")),
        (true, Some(_)) => "no change that matters: verdicts and memory are the same, or nearly the same".to_owned(),
        (true, None) => {
            "no change that matters in the files alone; give --data to compare scores and verdicts".to_owned()
        }
    };
    write!(text, "\n{verdict}")?;
    Ok(text)
}

/// A value of a description on one line.
fn short(what: &str, value: &Value) -> String {
    match (what, value) {
        ("layers", Value::Array(layers)) => {
            let layer = |layer: &Value| {
                let activation = layer["activation"].as_str().unwrap_or_default();
                format!("{}-{} {activation}", layer["inputs"], layer["outputs"])
            };
            layers.iter().map(layer).collect::<Vec<_>>().join(", ")
        }
        ("channels", Value::Array(channels)) => {
            const SHOWN: usize = 3;
            let channel = |c: &Value| {
                let [name, mean, scale] = ["name", "mean", "scale"].map(|key| short("", &c[key]));
                format!("{name} {mean} ± {scale}")
            };
            let more = if channels.len() > SHOWN { " …" } else { "" };
            channels.iter().take(SHOWN).map(channel).collect::<Vec<_>>().join(", ") + more
        }
        (_, Value::String(text)) => line(text).into_owned(),
        // As the f32 that it was.
        (_, Value::Number(number)) if number.is_f64() => (number.as_f64().unwrap_or_default() as f32).to_string(),
        (_, Value::Array(values)) if values.is_empty() => "none".to_owned(),
        (_, Value::Array(values)) => values.iter().map(|value| short(what, value)).collect::<Vec<_>>().join("; "),
        _ => value.to_string(),
    }
}
