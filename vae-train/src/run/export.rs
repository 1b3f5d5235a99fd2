//! From a run to a model file: quantise, calibrate, choose golden vectors.

use std::path::Path;

use anyhow::{Result, ensure};
use burn::tensor::Device;
use vae_core::format::{FeatureFamily, LikelihoodKind, Precision};

use crate::{
    calibration::{self, Normal},
    config::Config,
    data::front_end::rate_of,
    file::{calibration::CalibrationRecord, model_file::ModelFile},
    model::network::Weights,
    run::{
        directory::{RunDirectory, State},
        lock::Access,
    },
    training::extras::Extras,
    words::numbers::significant,
};

/// Share by which the rate of the data may differ from that of the model's mel bands: as `score` has it.
const SAME_RATE: f64 = 0.05;

/// The model of a run directory, of a fit or an import, before it is calibrated and quantised.
#[derive(Debug)]
pub struct RunModel {
    /// Where it is.
    pub directory: RunDirectory,
    /// Without calibration and golden vectors.
    pub file: ModelFile,
    /// Of the fit; none for an import.
    pub config: Option<Config>,
    /// Held-out normal windows, in physical units, one after the other.
    pub holdout: Vec<f32>,
    /// Fraction of normal windows that the threshold calls anomalous where no rate of alarms is asked for.
    pub false_alarms: f64,
}

impl RunModel {
    /// The model of a fit's best epoch with what was learned after it, or an imported one.
    ///
    /// # Errors
    /// If the directory holds no run, or it is damaged.
    pub fn open(path: &Path, access: Access) -> Result<Self> {
        let (directory, file, config) = match RunDirectory::open_imported(path, access)? {
            Some((directory, imported)) => {
                let mut file = imported.model_file();
                file.attributes = directory.extras()?.attributes;
                (directory, file, None)
            }
            None => {
                let (directory, state) = RunDirectory::open(path, access)?;
                let file = fitted(&state, &directory.extras()?)?;
                (directory, file, Some(state.plan.config))
            }
        };
        let false_alarms =
            config.as_ref().map_or(Config::default().data.false_alarms, |config| config.data.false_alarms);
        let (holdout, inputs) = (directory.holdout()?, file.mean.len() + file.conditions.len());
        ensure!(
            !holdout.is_empty() && holdout.len().is_multiple_of(inputs),
            "the held-out windows of {} are damaged: fit again",
            path.display()
        );
        Ok(Self { directory, file, config, holdout, false_alarms })
    }

    /// Windows that were held out of the fit.
    #[must_use]
    pub fn holdout_windows(&self) -> usize {
        self.holdout.len() / (self.file.mean.len() + self.file.conditions.len())
    }

    /// Whether the model may have been trained on a table of so many rows, by their number alone.
    #[must_use]
    pub fn may_have_seen(&self, rows: usize) -> bool {
        self.file.data.ends_with(&format!(", {rows} rows"))
    }

    /// Refuses normal data that the model was trained on: those of the same [`fingerprint`](crate::data::fingerprint), which messages call `name`.
    ///
    /// # Errors
    /// If they are the same.
    pub fn check_that_it_is_new(&self, fingerprint: Option<&str>, name: &Path) -> Result<()> {
        let data = &self.file.data;
        ensure!(
            self.config.is_none() || fingerprint.is_none_or(|found| found != data),
            "{} is what the model was trained on ({data}), and a model fits data it has seen better than new data: the threshold would be \
             too strict, and false alarms more frequent than asked for; give normal data that it was not trained on, from another time",
            name.display()
        );
        Ok(())
    }

    /// Refuses data, which messages call `name`, of another rate than that by which the model's mel bands are computed, if it has some.
    ///
    /// # Errors
    /// Says both rates, in rows a second.
    pub fn check_rate(&self, rate: f64, name: &Path) -> Result<()> {
        let Some(of_mel) = rate_of(&self.file.front_ends) else { return Ok(()) };
        ensure!(
            (rate / f64::from(of_mel) - 1.0).abs() <= SAME_RATE,
            "{}: has {} rows a second, and the model's mel bands are computed by {of_mel}: give data of that rate, or fit anew",
            name.display(),
            significant(rate)
        );
        Ok(())
    }

    /// The model calibrated on normal data or, without them, on the held-out windows, with golden vectors; and what a calibration on normal
    /// data is worth.
    ///
    /// # Errors
    /// If the data cannot be scored.
    pub fn calibrated(
        &self,
        normal: Option<&Normal>,
        precision: Precision,
    ) -> Result<(ModelFile, Option<calibration::Report>)> {
        let Self { holdout, false_alarms, .. } = self;
        let mut file = ModelFile { precision, ..self.file.clone() };
        // The model calibrates itself: its own arithmetic, quantised as it will run, scores the normal windows.
        let report;
        (file.calibration, report) = match normal {
            Some(normal) => {
                let (calibration, report) = calibration::calibrate(&file, normal, *false_alarms)?;
                (calibration, Some(report))
            }
            None => (calibration::of_windows(&file, holdout, *false_alarms)?, None),
        };

        // Two golden vectors: an ordinary window, and one that drives every feature out of range.
        let inputs = file.mean.len() + file.conditions.len();
        let means = || file.mean.iter().chain(&file.condition_mean);
        let ordinary =
            holdout[..inputs].iter().zip(means()).map(|(x, mean)| if x.is_nan() { *mean } else { *x }).collect();
        let signs = (0..inputs).map(|index| if index % 3 == 0 { -1.0f32 } else { 1.0 });
        let extreme = match file.likelihood {
            LikelihoodKind::Bernoulli => signs.map(|sign| 0.5 + 0.5 * sign).collect(),
            _ => {
                let scales = file.scale.iter().chain(&file.condition_scale);
                let values = signs.zip(means().zip(scales)).enumerate();
                let far = |(index, (sign, (mean, scale))): (usize, (f32, (&f32, &f32)))| match file.families.get(index)
                {
                    // Of each column the first category.
                    Some(FeatureFamily::FirstCategory { .. }) => 1.0,
                    Some(FeatureFamily::NextCategory) => 0.0,
                    Some(FeatureFamily::Bernoulli) => 0.5 + 0.5 * sign,
                    Some(FeatureFamily::Gaussian) | None => mean + 8.0 * sign * scale,
                };
                values.map(far).collect()
            }
        };
        file.golden_inputs = vec![ordinary, extreme];
        Ok((file, report))
    }
}

/// The model of a fit's best epoch.
pub(crate) fn fitted(state: &State, extras: &Extras) -> Result<ModelFile> {
    let weights = weights(state)?;
    Ok(ModelFile {
        precision: Precision::F32,
        posterior: state.plan.architecture.posterior.kind(),
        likelihood: state.plan.architecture.likelihood_kind(),
        channels: state.plan.schema.channels.clone(),
        window: state.plan.schema.window,
        hop: state.plan.schema.hop,
        front_ends: state.plan.schema.front_ends(),
        latent: state.plan.architecture.latent,
        mean: state.plan.schema.standardiser.mean.clone(),
        scale: state.plan.schema.standardiser.scale.clone(),
        variance: weights.variance,
        families: state.plan.architecture.families.clone(),
        log_variance_bounds: state.plan.architecture.log_variance_bounds(),
        conditions: state.plan.schema.conditions.clone(),
        condition_mean: state.plan.schema.condition_standardiser.mean.clone(),
        condition_scale: state.plan.schema.condition_standardiser.scale.clone(),
        prior: weights.prior,
        relations: extras.relations.clone().flatten(),
        mixture: extras.mixture.clone(),
        second_stage: extras.second_stage.clone(),
        attributes: extras.attributes.clone(),
        encoder: weights.encoder,
        decoder: weights.decoder,
        calibration: CalibrationRecord::default(),
        golden_inputs: Vec::new(),
        data: state.plan.schema.data.clone(),
        seed: state.plan.config.seed,
        metrics: [
            format!("epoch {}", state.checkpoint.best_epoch),
            format!("validation_elbo {:.4}", state.checkpoint.best_elbo()),
        ]
        .into_iter()
        .chain(state.plan.schema.origin_lines())
        .chain(state.plan.schema.categorical_lines())
        .chain(state.plan.schema.dropped.iter().map(|column| format!("left_out {column}")))
        .collect(),
    })
}

/// The weights of a run's best epoch.
///
/// # Errors
/// If the run is damaged, or has not finished an epoch.
pub fn weights(state: &State) -> Result<Weights> {
    ensure!(state.checkpoint.best_epoch > 0, "the run has not finished an epoch: go on with `vae-train fit --resume`");
    // Weights are read on the CPU, whatever they were trained on.
    state.checkpoint.best_network(&state.plan.architecture, &Device::flex())?.weights()
}
