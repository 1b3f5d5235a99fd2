//! `vae-train evaluate --generation`: how near generated windows come to data.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::Evaluate;
use crate::{
    cli::context::{Context, note},
    data::{for_model::read_for_model, part::binarise},
    file::model_file::AlignedFile,
    run::posteriors::posteriors_for,
    scoring::generation::{Drawn, Generation, Origin},
    statistics::two_sample::Discrepancy,
    words::messages::quoted_paths,
};

/// What was compared, and whose it is.
#[derive(Debug, Serialize)]
struct Generated {
    model: PathBuf,
    #[serde(flatten)]
    generation: Generation,
}

impl Evaluate {
    pub(super) fn generate(self, context: Context) -> Result<()> {
        let file = AlignedFile::read(&self.input.model)?;
        let model = file.model()?;
        let posteriors = self.run.as_deref().map(|run| posteriors_for(&model, run)).transpose()?;
        let seed = context.seed.unwrap_or(0);
        let (windows, left_out) =
            read_for_model(&self.input.data, self.input.label.as_deref().into(), &self.input.reading, &model)?;
        left_out.iter().for_each(|message| note(message));
        let is_normal = |index: usize| windows.labels.as_ref().is_none_or(|labels| !labels[index]);
        let normal = windows.iter().enumerate().filter(|(index, _)| is_normal(*index)).map(|(_, window)| window);
        let whole: Vec<&[f32]> = normal.filter(|window| !window.iter().any(|value| value.is_nan())).collect();
        ensure!(
            whole.len() > 1,
            "{}: {} normal window(s) without missing values, and at least two are needed to compare with",
            quoted_paths(&self.input.data),
            whole.len()
        );
        let step = whole.len().div_ceil(self.windows as usize);
        let mut chosen: Vec<f32> = whole.iter().step_by(step).copied().flatten().copied().collect();
        if self.binarise {
            chosen = binarise(chosen.into_iter(), &mut ChaCha8Rng::seed_from_u64(seed));
        }
        let drawn =
            Drawn::of(&model, &chosen, posteriors.as_ref(), seed).with_context(|| quoted_paths(&self.input.data))?;
        let generation = drawn.compare();
        let text = table(&generation, model.prior_components()? > 0);
        context.print(&Generated { model: self.input.model, generation }, &text)
    }
}

/// A line for each source.
fn table(generation: &Generation, is_prior_learned: bool) -> String {
    let Generation { windows, sources, gain } = generation;
    let mut text =
        format!("{windows} windows of the data, and as many of each source: MMD² ± what chance makes of it\n\n");
    text += &format!("{:<30}{:>22}{:>22}  {:>12}\n", "", "latent vectors", "windows", "ln p(z)");
    let cell = |found: &Discrepancy| format!("{:.5} ± {:.5}", found.mmd_squared, found.by_chance);
    for source in sources {
        let name = match source.origin {
            Origin::StandardNormal => "N(0, I)",
            Origin::Prior if is_prior_learned => "prior, learned",
            Origin::Prior => "prior",
            Origin::Aggregate => "aggregated posterior, mixture",
            Origin::SecondStage => "second stage",
            Origin::Posteriors => "aggregated posterior itself",
        };
        let density = source.log_density.map_or(String::new(), |density| {
            if density.mean.abs() < 1e6 { format!("{:.3}", density.mean) } else { format!("{:.3e}", density.mean) }
        });
        let [latent_vectors, windows] = [cell(&source.latent_vectors), cell(&source.windows)];
        text += &format!("{name:<30}{latent_vectors:>22}{windows:>22}  {density:>12}\n");
    }
    if let Some(gain) = gain {
        let verdict = if gain.is_shown() { "nearer" } else { "no nearer" };
        text += &format!(
            "\nthe second stage's latent vectors are {verdict} than the prior's, by {:.5} ± {:.5}",
            gain.mmd_squared, gain.standard_error
        );
    }
    text
}
