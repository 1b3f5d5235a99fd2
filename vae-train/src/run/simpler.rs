//! Whether something simpler than the fitted model would do: one Gaussian, or limits on each feature.
//!
//! There are no labels at a fit. So held-out windows are changed by the disturbances that a search judges settings by, and the model and
//! what is simpler are judged by how surely they tell changed windows from the windows as they were. Such changes leave the data in all
//! directions, as anomalies that lie between healthy states do not; so what is simpler must also find the held-out windows as likely.

mod changed;
mod substitutes;

use anyhow::Result;
use serde::Serialize;
use vae_core::format::Precision;

use crate::{
    data::dataset::Dataset,
    file::model_file::{AlignedFile, ModelFile},
    run::{
        directory::{Plan, RunDirectory, State},
        export::fitted,
        search::disturbance::measure,
        simpler::{
            changed::{Changed, Judged, LEAST_WINDOWS, Scorer},
            substitutes::{OneGaussian, farthest},
        },
    },
    scoring::of_device,
    statistics::{density::Independent, moments::Moments},
    training::checkpoint::Checkpoint,
    weights::family::Likelihood,
};

/// What is simpler does as well if its AUROC is at most so much below the model's: about the standard error of a difference of AUROCs over
/// as many windows as are judged.
pub const AS_WELL: f64 = 0.005;
/// And if the held-out windows are at most so many nats less likely to it, on average, than to the model: the model knows little more of them.
pub const AS_LIKELY: f64 = 0.5;
/// Below this AUROC of the model hardly any of the changed windows are told from others, by whatever judges them: that they are told no
/// better by the model says nothing.
pub const TELLING: f64 = 0.55;
/// Most training windows that what is simpler is fitted to, evenly spaced.
const FITTED_TO: usize = 5000;

/// What may stand in for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Substitute {
    /// The largest distance of a feature from its mean, in its standard deviations.
    Limits,
    /// Mahalanobis distance from the mean, with the covariance of all features.
    Gaussian,
}

/// What one way to score windows came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// How surely changed windows are told from others: the mean AUROC of the three kinds of [`measure`].
    pub auroc: f64,
    /// Mean log-density of the windows as they were, in nats of standardised units.
    pub log_density: f64,
}

/// How well changed windows are told from others by the model, and by what is simpler.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Simpler {
    /// Held-out windows that were changed.
    pub windows: usize,
    /// Changes that each of them has seen.
    pub changes: usize,
    /// Of the model, in int8; its ELBO for a density.
    pub model: Figures,
    /// Of one Gaussian with full covariance; none for very many features.
    pub gaussian: Option<Figures>,
    /// Of limits on each feature; their density is that of independent Gaussians.
    pub limits: Figures,
    /// The simplest that does as well as the model.
    pub suffices: Option<Substitute>,
}

impl Simpler {
    /// Compares a fitted model, as it would be exported, with what is simpler; `None` for zeros and ones and categories, which these
    /// disturbances are not for, and where too few windows are held out.
    ///
    /// # Errors
    /// If the model cannot be written or does not score its windows.
    pub(crate) fn of_run(
        directory: &RunDirectory,
        plan: &Plan,
        dataset: &Dataset,
        checkpoint: &Checkpoint,
    ) -> Result<Option<Self>> {
        let are_numbers = !matches!(plan.architecture.likelihood, Likelihood::Bernoulli | Likelihood::Mixed);
        if !are_numbers || dataset.holdout_rows.len() < LEAST_WINDOWS {
            return Ok(None);
        }
        let state = State { plan: plan.clone(), checkpoint: checkpoint.clone() };
        let file = ModelFile { precision: Precision::Int8, ..fitted(&state, &directory.extras()?)? };
        let bytes = AlignedFile::new(&file.to_bytes()?);
        let model = bytes.model()?;
        let score = |windows: &[f32]| Ok(of_device(&model, windows)?.iter().map(|score| -score).collect());
        Self::compare(dataset, &plan.architecture.variance_floors, plan.config.seed, &score)
    }

    /// Compares what gives the negative log-density of windows in physical units, each followed by its condition, with what is simpler;
    /// `None` where nothing varies. Variances of the features are at least `floors`, in standardised units.
    fn compare(dataset: &Dataset, floors: &[f32], seed: u64, model: &Scorer<'_>) -> Result<Option<Self>> {
        let (features, inputs) = (dataset.features(), dataset.features() + dataset.schema.conditions.len());
        let train = dataset.train();
        let step = train.chosen.len().div_ceil(FITTED_TO).max(1);
        let some: Vec<usize> = train.chosen.iter().copied().step_by(step).collect();
        let windows: Vec<&[f32]> = train.windows(&some, inputs).collect();
        let moments = Moments::of(windows.iter().map(|window| &window[..features]), features);
        let changed = Changed::of(dataset, &moments);
        if changed.varying.is_empty() {
            return Ok(None);
        }
        let trials = changed.trials(dataset, seed);
        let auroc =
            |score: &Scorer<'_>| -> Result<f64> { Ok(measure(&trials.aurocs(&Judged { changed: &changed, score })?)) };
        let complete: Vec<&[f32]> =
            changed.windows.iter().copied().filter(|window| !window.iter().any(|x| x.is_nan())).collect();
        let mean = |density: &dyn Fn(&[f32]) -> f64| {
            let density = |window: &&[f32]| density(&dataset.schema.standardise(window).collect::<Vec<_>>());
            complete.iter().map(density).sum::<f64>() / complete.len() as f64
        };
        let standardised = |score: &(dyn Fn(&[f32]) -> f64 + Sync), windows: &[f32]| -> Vec<f32> {
            let window = |inputs: &[f32]| score(&dataset.schema.standardise(inputs).collect::<Vec<_>>()) as f32;
            windows.chunks_exact(inputs).map(window).collect()
        };
        let gaussian = OneGaussian::fit(&windows, &moments, floors, inputs).map(|gaussian| {
            let score = |window: &[f32]| -gaussian.log_density(window);
            let auroc = auroc(&|windows| Ok(standardised(&score, windows)))?;
            anyhow::Ok(Figures { auroc, log_density: mean(&|window| gaussian.log_density(window)) })
        });
        let independent =
            Independent::fit(windows.iter().map(|window| &window[..features]), features, Some(floors), &[]);
        let limits = Figures {
            auroc: auroc(&|windows| Ok(standardised(&|window| farthest(window, &moments), windows)))?,
            log_density: mean(&|window| independent.log_density(&window[..features])),
        };
        let scores = model(&complete.concat())?;
        let logarithm = dataset.schema.standardiser.scale.iter().map(|scale| libm::log(f64::from(*scale))).sum::<f64>();
        let log_density = -scores.iter().copied().map(f64::from).sum::<f64>() / scores.len() as f64 + logarithm;
        let model = Figures { auroc: auroc(model)?, log_density };
        Ok(Some(Self::concluded((changed.windows.len(), trials.changes()), model, gaussian.transpose()?, limits)))
    }

    fn concluded(
        (windows, changes): (usize, usize),
        model: Figures,
        gaussian: Option<Figures>,
        limits: Figures,
    ) -> Self {
        let does = |found: &Figures| {
            let is_as_sure = model.auroc >= TELLING && found.auroc >= model.auroc - AS_WELL;
            is_as_sure && found.log_density >= model.log_density - AS_LIKELY
        };
        let suffices =
            if does(&limits) { Some(Substitute::Limits) } else { gaussian.filter(does).map(|_| Substitute::Gaussian) };
        Self { windows, changes, model, gaussian, limits, suffices }
    }

    /// That something simpler does as well, where it does.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let Self { suffices, .. } = self;
        let [model, limits] = [self.model.auroc, self.limits.auroc];
        let gaussian = self.gaussian.map(|gaussian| gaussian.auroc);
        let others = match (suffices, gaussian) {
            (None, _) => return Vec::new(),
            (Some(Substitute::Limits), _) => format!(
                "limits on each feature, in standard deviations, find made-up anomalies of these data as well (AUROC {limits:.3}; the model \
                 {model:.3}): they may be all you need"
            ),
            (Some(Substitute::Gaussian), gaussian) => format!(
                "a Gaussian with full covariance finds made-up anomalies of these data as well (AUROC {:.3}; the model {model:.3}; limits \
                 on each feature {limits:.3}): it may be all you need",
                gaussian.unwrap_or(f64::NAN)
            ),
        };
        let caution = "  made-up anomalies are not yours, and a model may learn more from more data: evaluate with labelled data tells";
        vec![others, caution.to_owned()]
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use vae_core::standard_normal;

    use super::*;
    use crate::{config::Config, statistics::kernel_density::KernelDensity, tables::table::Table};

    /// What a kernel density estimate, which learns any shape of a few columns, and what is simpler tell of rows.
    fn compared<const COLUMNS: usize>(config: &Config, row: impl Fn(&mut ChaCha8Rng) -> [f32; COLUMNS]) -> Simpler {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let table = Table {
            path: "t.csv".into(),
            columns: (0..COLUMNS).map(|column| format!("c{column}")).collect(),
            values: (0..5000).flat_map(|_| row(&mut rng)).collect(),
            labels: None,
            starts: Vec::new(),
            origins: Vec::new(),
        };
        let dataset = Dataset::prepare(table, config).unwrap();
        let features = dataset.features();
        let train = dataset.train();
        let shape = KernelDensity::fit(&train.gather(train.chosen, features).collect::<Vec<_>>(), features).unwrap();
        let scale: f64 = dataset.schema.standardiser.scale.iter().map(|scale| f64::from(*scale).ln()).sum();
        let model = |windows: &[f32]| {
            let density = |x: &[f32]| shape.log_density(&dataset.schema.standardise(x).collect::<Vec<_>>()) - scale;
            Ok(windows.chunks_exact(features).map(|x| -density(x) as f32).collect())
        };
        let found = Simpler::compare(&dataset, &dataset.variance_floors(), 7, &model).unwrap().unwrap();
        assert_eq!(found, Simpler::compare(&dataset, &dataset.variance_floors(), 7, &model).unwrap().unwrap());
        found
    }

    #[test]
    fn limits_do_where_columns_are_gaussian_by_themselves() {
        let found = compared(&Config::default(), |rng| std::array::from_fn::<_, 3, _>(|_| standard_normal(rng)));
        assert_eq!(found.suffices, Some(Substitute::Limits), "{found:?}");
        assert_eq!((found.windows, found.changes), (300, 17));
        assert!(found.lines()[0].starts_with("limits on each feature"));
    }

    #[test]
    fn a_gaussian_does_where_columns_follow_each_other_linearly_and_limits_do_not() {
        let found = compared(&Config::default(), |rng| {
            let common = standard_normal(rng);
            [common + 0.2 * standard_normal(rng), 0.2 * standard_normal(rng) - common]
        });
        assert_eq!(found.suffices, Some(Substitute::Gaussian), "{found:?}");
        assert!(
            found.limits.auroc < found.model.auroc - 0.1 && found.lines()[0].starts_with("a Gaussian"),
            "{found:?}"
        );
    }

    #[test]
    fn neither_does_on_a_ring_or_between_clusters() {
        let ring = compared(&Config::default(), |rng| {
            let angle = rng.random_range(0.0..std::f32::consts::TAU);
            [angle.cos() + 0.05 * standard_normal(rng), angle.sin() + 0.05 * standard_normal(rng)]
        });
        let clusters = compared(&Config::default(), |rng| {
            // Not on one line, along which a Gaussian would lie.
            let [x, y] = [[-1.0, -1.0], [1.0, -1.0], [0.0, 1.0]][rng.random_range(0..3)];
            [x + 0.1 * standard_normal(rng), y + 0.1 * standard_normal(rng)]
        });
        for found in [ring, clusters] {
            assert!(found.suffices.is_none() && found.lines().is_empty(), "{found:?}");
            assert!(found.gaussian.unwrap().auroc < found.model.auroc - 0.02, "{found:?}");
        }
    }

    #[test]
    fn what_does_not_vary_is_not_changed_and_windows_are_changed_as_stretches() {
        let mut config = Config::default();
        (config.data.window, config.data.hop) = (4, Some(2));
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let table = Table {
            path: "t.csv".into(),
            columns: vec!["constant".into(), "x".into(), "y".into()],
            values: (0..2000)
                .flat_map(|_| [5.0, standard_normal(&mut rng), 100.0 * standard_normal(&mut rng)])
                .collect(),
            labels: None,
            starts: Vec::new(),
            origins: Vec::new(),
        };
        let dataset = Dataset::prepare(table, &config).unwrap();
        let model = |windows: &[f32]| -> Result<Vec<f32>> {
            assert!(windows.iter().step_by(3).all(|x| *x == 5.0));
            assert!(windows.iter().skip(1).step_by(3).all(|x| x.abs() < 25.0));
            Ok(windows.chunks_exact(12).map(|window| window[1].abs()).collect())
        };
        let found = Simpler::compare(&dataset, &dataset.variance_floors(), 7, &model).unwrap().unwrap();
        // Two levels, and what makes more of something at four sizes; two relations at one.
        assert_eq!((found.windows, found.changes), (200, 4 * 7 + 2));
    }

    #[test]
    fn what_hardly_tells_anything_says_nothing() {
        let at = |auroc: f64| Figures { auroc, log_density: -3.0 };
        let suffices = |model, gaussian: Option<Figures>, limits| {
            Simpler::concluded((100, 9), at(model), gaussian, at(limits)).suffices
        };
        assert_eq!(suffices(0.54, Some(at(0.6)), 0.6), None);
        assert_eq!(suffices(0.9, Some(at(0.896)), 0.5), Some(Substitute::Gaussian));
        assert_eq!(suffices(0.9, Some(at(0.894)), 0.5), None);
        assert_eq!(suffices(0.9, Some(at(1.0)), 0.896), Some(Substitute::Limits));
        assert_eq!(suffices(0.9, None, 0.5), None);
        // What surely tells made-up anomalies and knows less of the data.
        assert_eq!(suffices(0.9, Some(Figures { auroc: 0.95, log_density: -3.6 }), 0.5), None);
    }
}
