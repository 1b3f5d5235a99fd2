//! Whether a second stage is of use, and what is said of it.

use anyhow::Result;

use crate::{
    file::model_file::{AlignedFile, ModelFile},
    scoring::generation::{Drawn, Generation, Origin},
    statistics::two_sample::Discrepancy,
    training::{
        extras::{Extras, SecondStageJudgement},
        listener::Listener,
    },
};

/// Most held-out windows that it is judged by, evenly spaced.
const MOST_JUDGED: usize = 1000;
/// Least share of Var(z) that a second stage explains: one that explains nothing is a single Gaussian, which may be nearer than `N(0, I)` by its mean and
/// width alone.
const LEAST_EXPLAINED: f64 = 0.05;

/// Compares the second stage of `extras`, which the model `file` has and which explains this share of Var(z), with the model's prior; leaves it out
/// if it does not draw nearer to the latent vectors of the held-out windows, which are in physical units, each followed by its condition.
///
/// # Errors
/// If the model does not encode the windows.
pub(crate) fn judge(
    extras: &mut Extras,
    explained: f64,
    file: &ModelFile,
    holdout: &[f32],
    listener: &mut dyn Listener,
) -> Result<()> {
    let seed = file.seed;
    let file = AlignedFile::new(&file.to_bytes()?);
    let model = file.model()?;
    let windows: Vec<&[f32]> = holdout
        .chunks_exact(model.features() + model.conditions())
        .filter(|window| !window.iter().any(|value| value.is_nan()))
        .collect();
    let step = windows.len().div_ceil(MOST_JUDGED).max(1);
    let some: Vec<f32> = windows.iter().step_by(step).copied().flatten().copied().collect();
    let drawn = Drawn::of(&model, &some, None, seed)?;
    let Generation { windows, sources, gain } = drawn.compare();
    let of = |origin| sources.iter().find(|source| source.origin == origin).map(|source| source.latent_vectors);
    let (Some(second_stage), Some(prior), Some(gain)) = (of(Origin::SecondStage), of(Origin::Prior), gain) else {
        return Ok(());
    };
    let is_stored = gain.is_shown() && explained >= LEAST_EXPLAINED;
    let judgement = SecondStageJudgement {
        explained,
        windows,
        second_stage,
        prior,
        standard_normal: of(Origin::StandardNormal),
        gain,
        is_stored,
    };
    if !is_stored {
        extras.second_stage = None;
        listener.note(&format!("the second stage is left out: {}", judgement.line()));
    }
    extras.judgement = Some(judgement);
    Ok(())
}

impl SecondStageJudgement {
    /// What it explains, and how near it comes beside what it is to beat, in a line.
    #[must_use]
    pub fn line(&self) -> String {
        let discrepancy = |found: &Discrepancy| format!("{:.5} ± {:.5}", found.mmd_squared, found.by_chance);
        let prior = discrepancy(&self.prior);
        let of_prior = match &self.standard_normal {
            None => format!("of the prior N(0, I) {prior}"),
            Some(normal) => format!("of the learned prior {prior}, of N(0, I) {}", discrepancy(normal)),
        };
        let verdict = match (self.gain.is_shown(), self.is_stored) {
            (true, true) => "nearer than the prior",
            (true, false) => "too little; nearer than the prior",
            (false, _) => "no nearer than the prior",
        };
        format!(
            "it explains {:.0} % of Var(z); MMD² to {} held-out latent vectors {}, {of_prior}: {verdict}, by {:.5} ± {:.5}",
            100.0 * self.explained.max(0.0),
            self.windows,
            discrepancy(&self.second_stage),
            self.gain.mmd_squared,
            self.gain.standard_error
        )
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use vae_core::{Activation, Scratch, standard_normal};

    use super::*;
    use crate::{
        config::Config,
        data::part::Part,
        model::{architecture::Architecture, network::Weights},
        run::screening::model_of_standardised,
        training::second_stage::{Trained, train},
        weights::{
            dense::Dense,
            family::{HiddenActivation, Likelihood, Posterior},
            posteriors::Posteriors,
        },
    };

    /// `ln` of the posteriors' variance: their deviation is 0.1.
    const LOG_VARIANCE: f32 = -4.6;

    fn architecture(conditions: usize) -> Architecture {
        Architecture {
            features: 2,
            conditions,
            hidden: Vec::new(),
            latent: 2,
            prior: 0,
            activation: HiddenActivation::Identity,
            posterior: Posterior::Diagonal,
            likelihood: Likelihood::GaussianFixed,
            variance: 0.01,
            variance_floor: 0.01,
            covariance_rank: 0,
            variance_floors: vec![0.01; 2],
            families: Vec::new(),
        }
    }

    /// A model whose latent vector is the window, but for a deviation of 0.1 each way.
    fn identity(architecture: &Architecture) -> ModelFile {
        let columns = 2 + architecture.conditions;
        let layer = |rows: usize, bias: Vec<f32>| {
            // Of two rows: others, and the condition's columns, are 0.
            let entry = |index: usize| f32::from(u8::from(index / columns == index % columns && index / columns < 2));
            let weights = (0..rows * columns).map(entry).collect();
            vec![Dense { activation: Activation::Identity, rows, columns, weights, bias }]
        };
        let encoder = layer(4, vec![0.0, 0.0, LOG_VARIANCE, LOG_VARIANCE]);
        let weights = Weights { encoder, decoder: layer(2, vec![0.0; 2]), variance: vec![0.01; 2], prior: None };
        model_of_standardised(architecture, weights)
    }

    /// A second stage of these latent vectors, each with its condition, judged by others of the same kind; the model, as it is then stored.
    fn learned(rows: impl Fn(u64) -> Vec<f32>, conditions: usize) -> (SecondStageJudgement, ModelFile) {
        let (architecture, train_rows) = (architecture(conditions), rows(1));
        let width = 2 + conditions;
        let of_row = |row: &[f32]| [row[0], row[1], LOG_VARIANCE, LOG_VARIANCE];
        let parameters: Vec<f32> = train_rows.chunks(width).flat_map(of_row).collect();
        let posteriors = Posteriors { family: Posterior::Diagonal, latent: 2, parameters };
        let (chosen, last_row): (Vec<usize>, Vec<usize>) = (0..posteriors.count()).map(|row| (row, row)).unzip();
        let part = Part { values: &train_rows, chosen: &chosen, last_row: &last_row };
        let mut config = Config::default();
        config.model.hidden = Some(vec![32, 32]);
        config.training.epochs = Some(40);
        config.data.condition = (0..conditions).map(|index| format!("c{index}")).collect();
        let Trained { stage, explained } =
            train(&config, &architecture, &posteriors, part, &Device::flex(), &()).unwrap().unwrap();
        let mut extras = Extras { second_stage: Some(stage.clone()), ..Extras::default() };
        let file = ModelFile { second_stage: Some(stage), ..identity(&architecture) };
        judge(&mut extras, explained, &file, &rows(2), &mut ()).unwrap();
        let judgement = extras.judgement.unwrap();
        assert_eq!(judgement.is_stored, extras.second_stage.is_some());
        (judgement, ModelFile { second_stage: extras.second_stage, ..file })
    }

    fn of_rows(count: usize, seed: u64, row: impl Fn(&mut ChaCha8Rng) -> Vec<f32>) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).flat_map(|_| row(&mut rng)).collect()
    }

    fn ring(seed: u64) -> Vec<f32> {
        of_rows(1000, seed, |rng| {
            let angle = std::f32::consts::TAU * rng.random::<f32>();
            vec![1.4 * angle.cos(), 1.4 * angle.sin()]
        })
    }

    fn two_clusters(seed: u64) -> Vec<f32> {
        of_rows(1000, seed, |rng| {
            let sign = if rng.random::<bool>() { 1.0 } else { -1.0 };
            vec![0.95 * sign + 0.3 * standard_normal(rng), -0.9 * sign + 0.3 * standard_normal(rng)]
        })
    }

    #[test]
    fn a_ring_and_two_clusters_are_learned_five_times_nearer_than_the_standard_normal() {
        for (name, rows) in [("ring", ring as fn(u64) -> Vec<f32>), ("two clusters", two_clusters)] {
            let (judgement, _) = learned(rows, 0);
            assert!(judgement.is_stored && judgement.explained > 0.5, "{name}: {}", judgement.line());
            // Measured of the ring: an eleventh. Of less than a fifth no chance is left to explain it.
            let (found, prior) = (&judgement.second_stage, judgement.prior.mmd_squared);
            assert!(prior > 10.0 * judgement.prior.by_chance, "{name}: {}", judgement.line());
            assert!(found.mmd_squared < 0.2 * prior, "{name}: {}", judgement.line());
        }
    }

    #[test]
    fn one_of_latent_vectors_that_the_prior_draws_as_well_is_left_out() {
        // With the posteriors' variance the rows are N(0, I).
        let deviation = (1.0 - LOG_VARIANCE.exp()).sqrt();
        let normal = |seed| of_rows(1000, seed, |rng| (0..2).map(|_| deviation * standard_normal(rng)).collect());
        let (judgement, file) = learned(normal, 0);
        assert!(!judgement.is_stored && file.second_stage.is_none(), "{}", judgement.line());
        assert!(judgement.line().contains("no nearer than the prior"));
    }

    #[test]
    fn that_of_a_conditional_model_is_given_the_condition() {
        // The first latent follows the condition, and the prior does not: without the condition it would be as likely on either side.
        let rows = |seed| {
            of_rows(1000, seed, |rng| {
                let condition = standard_normal(rng);
                vec![0.9 * condition + 0.3 * standard_normal(rng), standard_normal(rng), condition]
            })
        };
        let (judgement, file) = learned(rows, 1);
        assert!(judgement.is_stored, "{}", judgement.line());
        let bytes = AlignedFile::new(&file.to_bytes().unwrap());
        let model = bytes.model().unwrap();
        model.verify().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let (mut rng, mut z) = (ChaCha8Rng::seed_from_u64(3), [0.0; 2]);
        for condition in [-1.5f32, 0.5] {
            let model = model.given(std::slice::from_ref(&condition)).unwrap();
            let draws = 2000;
            let mut sum = 0.0;
            for _ in 0..draws {
                model.sample_second_stage(&mut rng, &mut z[..], &mut Scratch::new(&mut memory)).unwrap();
                sum += f64::from(z[0]);
            }
            // A deviation of 0.32 has a standard error of 0.007; what is learned of a thousand rows is off by more.
            let (mean, exact) = (sum / f64::from(draws), 0.9 * f64::from(condition));
            assert!((mean - exact).abs() < 0.15, "{mean} for {exact}");
        }
        let without = model.sample_second_stage(&mut rng, &mut z[..], &mut Scratch::new(&mut memory));
        assert!(without.is_err());
    }
}
