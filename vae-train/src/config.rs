//! What a fit can be told: each setting is written once, and given by its name in a TOML file, on the command line, or in Rust.

pub mod data;
mod density;
pub mod model;
pub mod objective;
pub mod training;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{
    config::{
        data::{ColumnFamily, DataConfig},
        density::DENSITY_COMPONENTS,
        model::{CONTINUOUS_FLOOR, DENSITY_FLOOR, DISCRETE_FLOOR, ModelConfig, PosteriorFamily, Purpose},
        objective::ObjectiveConfig,
        training::TrainingConfig,
    },
    model::{
        architecture::Architecture,
        objective::{Bound, Objective},
        posterior::Estimator,
    },
    tables::reading::Reading,
    weights::family::Likelihood,
    words::input::read_text,
};

/// Least variance of the noise on the encoder's inputs by default, in standardised units.
const INPUT_VARIANCE: f32 = 0.09;
/// Components of the learned prior by default.
const PRIOR_COMPONENTS: usize = 16;
/// Samples of the score-function estimator by default: of more than one, each one's baseline is the others' mean.
const SCORE_FUNCTION_SAMPLES: usize = 4;

/// The configuration of a fit, in sections. A setting that is `None` is chosen from the others and the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seed of everything random.
    #[arg(skip)]
    pub seed: u64,
    /// How its table is read.
    #[command(flatten)]
    pub reading: Reading,
    /// What a model is trained on.
    #[command(flatten)]
    pub data: DataConfig,
    /// What it is made of.
    #[command(flatten)]
    pub model: ModelConfig,
    /// What training maximises.
    #[command(flatten)]
    pub objective: ObjectiveConfig,
    /// How long, and in what steps.
    #[command(flatten)]
    pub training: TrainingConfig,
}

impl Config {
    /// What a purpose chooses of the settings that have a value from the start; what is `None` is chosen by the purpose where it is needed.
    #[must_use]
    pub fn for_purpose(purpose: Purpose) -> Self {
        let mut config = Self::default();
        config.model.purpose = purpose;
        if purpose == Purpose::Density {
            density::choose(&mut config.model, &mut config.training);
        }
        config
    }

    /// Reads a TOML file. A setting stands in its section or, as names are unique, before all sections.
    ///
    /// # Errors
    /// If it cannot be read or names something unknown.
    pub fn read(path: &Path) -> Result<Self> {
        Self::default().over(Some(path), |_| false)
    }

    /// The settings `is_given` by their names, over those of a TOML file, over those of the purpose, over the defaults. The seed is the file's.
    ///
    /// # Errors
    /// If the file cannot be read, or names an unknown setting.
    pub fn over(&self, path: Option<&Path>, is_given: impl Fn(&str) -> bool) -> Result<Self> {
        let context = || path.map_or(String::new(), |path| format!("{} is not a valid configuration", path.display()));
        let mut settings = match path {
            Some(path) => by_section(toml::from_str(&read_text(path)?).with_context(context)?).with_context(context)?,
            None => Table::new(),
        };
        for (section, values) in Table::try_from(self).context("the settings cannot be written as TOML")? {
            let Value::Table(values) = values else { continue };
            let given = values.into_iter().filter(|(name, _)| is_given(name));
            if let Value::Table(file) = settings.entry(section).or_insert_with(|| Value::Table(Table::new())) {
                file.extend(given);
            }
        }
        Self::of(settings).with_context(context)
    }

    /// The settings given by their names, as they stand in a TOML file, over those of the purpose, over the defaults.
    ///
    /// # Errors
    /// If a name is unknown, or a value is none of its setting.
    pub fn of(settings: Table) -> Result<Self> {
        let mut settings = by_section(settings)?;
        let Self { model: ModelConfig { purpose, .. }, .. } = settings.clone().try_into()?;
        let chosen = Table::try_from(Self::for_purpose(purpose)).context("the settings cannot be written as TOML")?;
        for (section, values) in chosen {
            let Value::Table(values) = values else { continue };
            if let Value::Table(given) = settings.entry(section).or_insert_with(|| Value::Table(Table::new())) {
                values.into_iter().for_each(|(name, value)| _ = given.entry(name).or_insert(value));
            }
        }
        Ok(settings.try_into()?)
    }

    /// The names of all settings but the seed, each with its section.
    pub fn names() -> impl Iterator<Item = (&'static str, String)> {
        [
            ("reading", Reading::augment_args(clap::Command::new(""))),
            ("data", DataConfig::augment_args(clap::Command::new(""))),
            ("model", ModelConfig::augment_args(clap::Command::new(""))),
            ("objective", ObjectiveConfig::augment_args(clap::Command::new(""))),
            ("training", TrainingConfig::augment_args(clap::Command::new(""))),
        ]
        .into_iter()
        .flat_map(|(section, command)| {
            let names: Vec<String> = command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
            names.into_iter().map(move |name| (section, name))
        })
    }

    /// Refuses values that no fit can work with.
    ///
    /// # Errors
    /// Names the value and what it may be.
    pub fn check(&self) -> Result<()> {
        self.data.check()?;
        self.model.check()?;
        self.objective.check()?;
        self.training.check()?;
        self.check_estimator()?;
        let (posterior, likelihood) = (self.model.posterior, self.model.likelihood);
        ensure!(
            self.data.drift == 0.0 || likelihood != Likelihood::Bernoulli,
            "--drift moves values, and a Bernoulli likelihood's values must stay between 0 and 1: leave out --drift"
        );
        ensure!(
            self.data.binarise.is_none() || likelihood == Likelihood::Bernoulli,
            "binarise makes zeros and ones: use it with --likelihood bernoulli"
        );
        let prior = self.prior_components();
        ensure!(
            prior == 0 || (!posterior.is_discrete() && self.objective.free_bits == 0.0),
            "a learned prior needs a Gaussian posterior and no free bits: leave out --prior"
        );
        ensure!(prior <= 1024, "prior {prior}: give at most 1024 components");
        Ok(())
    }

    fn check_estimator(&self) -> Result<()> {
        let Objective { estimator, bound, .. } = self.objective();
        let posterior = self.model.posterior;
        ensure!(
            !(posterior.is_discrete() && estimator == Estimator::Reparameterised),
            "Bernoulli and categorical latents cannot be reparameterised: leave out --estimator, or give score-function or enumeration"
        );
        match estimator {
            Estimator::Reparameterised => Ok(()),
            Estimator::ScoreFunction => {
                ensure!(
                    bound == Bound::Elbo && posterior != PosteriorFamily::Full,
                    "the score-function estimator is for the ELBO with diagonal, Bernoulli or categorical posteriors: leave out --estimator"
                );
                Ok(())
            }
            Estimator::Enumeration => {
                ensure!(
                    bound == Bound::Elbo && posterior.is_discrete(),
                    "enumeration is for the ELBO with Bernoulli or categorical posteriors: leave out --estimator"
                );
                ensure!(
                    self.objective.samples.is_none(),
                    "enumeration takes all latent vectors instead of samples: leave out --samples"
                );
                self.model.check_states()
            }
        }
    }

    /// How a table is read, with the columns that hold categories.
    ///
    /// # Errors
    /// If a column's family is none.
    pub fn reading(&self) -> Result<Reading> {
        Ok(Reading { categorical: self.data.columns_of(ColumnFamily::Categorical)?, ..self.reading.clone() })
    }

    /// What training maximises, once the warm-up is over.
    #[must_use]
    pub fn objective(&self) -> Objective {
        let ObjectiveConfig { objective: bound, samples, estimator, beta, free_bits, .. } = self.objective;
        let is_discrete = self.model.posterior.is_discrete();
        let by_posterior = if is_discrete { Estimator::ScoreFunction } else { Estimator::Reparameterised };
        let estimator = estimator.unwrap_or(by_posterior);
        let by_estimator = if estimator == Estimator::ScoreFunction { SCORE_FUNCTION_SAMPLES } else { 1 };
        let bound = bound.unwrap_or(Bound::Elbo);
        Objective { bound, samples: samples.unwrap_or(by_estimator), beta, free_bits, estimator }
    }

    /// The network that is asked for, for windows of `features` values.
    #[must_use]
    pub fn architecture(&self, features: usize) -> Architecture {
        let ModelConfig { activation, likelihood, covariance_rank, variance, variance_floor, .. } = self.model;
        let latent = self.model.latent_for(features);
        let floor = if self.is_of_densities() { DENSITY_FLOOR } else { CONTINUOUS_FLOOR };
        Architecture {
            features,
            conditions: self.data.condition.len(),
            hidden: self.model.hidden_for(features),
            latent,
            prior: self.prior_components(),
            activation,
            posterior: self.model.posterior_of(latent),
            likelihood,
            covariance_rank,
            variance,
            variance_floor: self.variance_floor(),
            variance_floors: vec![variance_floor.unwrap_or(floor); features],
            families: Vec::new(),
        }
    }

    /// Components of the learned prior; 0 for the standard one.
    #[must_use]
    pub fn prior_components(&self) -> usize {
        let is_standard = self.model.posterior != PosteriorFamily::Diagonal || self.objective.free_bits > 0.0;
        let by_purpose = if self.is_of_densities() { DENSITY_COMPONENTS } else { PRIOR_COMPONENTS };
        self.model.prior.unwrap_or(if is_standard { 0 } else { by_purpose })
    }

    /// Least variance that is predicted, in standardised units.
    #[must_use]
    pub fn variance_floor(&self) -> f32 {
        let by_data = match self.model.purpose {
            Purpose::Density => DENSITY_FLOOR,
            Purpose::Detection if self.data.window > 1 => CONTINUOUS_FLOOR,
            Purpose::Detection => DISCRETE_FLOOR,
        };
        self.model.variance_floor.unwrap_or(by_data)
    }

    /// Whether the model is to say how likely values are.
    #[must_use]
    pub fn is_of_densities(&self) -> bool {
        self.model.purpose == Purpose::Density
    }

    /// Fills in what is left to choose, for a model of `features` values that is fitted to so many `windows`.
    pub fn settle(&mut self, features: usize, windows: usize) {
        self.data.hop = Some(self.data.hop());
        self.model.hidden = Some(self.model.hidden_for(features));
        let latent = *self.model.latent.insert(self.model.latent_for(features));
        if self.model.posterior == PosteriorFamily::Categorical {
            self.model.categories.get_or_insert(latent);
        }
        self.model.prior = Some(self.prior_components());
        if self.is_of_densities() {
            self.model.variance_floor = Some(self.variance_floor());
            let Objective { estimator, .. } = self.objective();
            density::settle(&mut self.objective, &mut self.training, estimator, windows);
        }
        let share = features as f32 / windows.max(1) as f32;
        self.objective.input_noise.get_or_insert((INPUT_VARIANCE + share).min(1.0).sqrt());
        self.training.epochs = Some(self.training.epochs_for(windows));
        self.training.patience = Some(self.training.patience_for(windows));
    }
}

/// Moves each setting that stands before all sections into its own.
fn by_section(table: Table) -> Result<Table> {
    let is_placed = |(name, value): &(String, Value)| value.is_table() || name == "seed";
    let (mut settings, loose): (Table, Table) = table.into_iter().partition(is_placed);
    for (name, value) in loose {
        let names: Vec<_> = Config::names().collect();
        let Some((section, _)) = names.iter().find(|(_, known)| *known == name) else {
            let known: Vec<String> = names.iter().map(|(_, name)| format!("`{name}`")).collect();
            bail!("unknown field `{name}`, expected `seed` or one of {}", known.join(", "));
        };
        let section = settings.entry(*section).or_insert_with(|| Value::Table(Table::new()));
        let twice = section.as_table_mut().and_then(|section| section.insert(name.clone(), value));
        ensure!(twice.is_none(), "`{name}` is given twice, in its section and before all sections: give it once");
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_settings_in_sections_or_before_them_and_what_is_given_otherwise_takes_precedence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vae.toml");
        std::fs::write(
            &path,
            "batch = 16\nseed = 3\n[data]\nwindow = 8\n[objective]\nobjective = \"elbo\"\nbeta = 0.5\n",
        )
        .unwrap();
        let mut given = Config::default();
        given.objective.beta = 0.25;
        given.training.learning_rate = 0.01;
        let config = given.over(Some(&path), |name| name == "beta").unwrap();
        assert_eq!((config.seed, config.training.batch, config.data.window, config.data.hop()), (3, 16, 8, 4));
        assert_eq!((config.objective.beta, config.training.learning_rate), (0.25, 1e-3));

        for (text, expected) in [
            ("batch = 1\n[training]\nbatch = 2\n", "`batch` is given twice"),
            ("[data]\nepochs = 2\n", "unknown field `epochs`"),
            ("[date]\nepochs = 2\n", "unknown field `date`"),
            ("epoch = 2\n", "unknown field `epoch`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = format!("{:#}", Config::read(&path).unwrap_err());
            assert!(message.contains(expected) && message.contains("vae.toml"), "{message}");
        }
    }

    #[test]
    fn a_purpose_stands_below_what_is_given_in_a_file_or_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vae.toml");
        std::fs::write(&path, "batch = 16\n[model]\npurpose = \"density\"\nlatent = 3\n").unwrap();
        let mut given = Config::default();
        given.model.likelihood = Likelihood::GaussianFixed;
        let mut config = given.over(Some(&path), |name| name == "likelihood").unwrap();
        let expected = Config::for_purpose(Purpose::Density);
        assert_eq!((config.model.purpose, config.training.batch), (Purpose::Density, 16));
        assert_eq!((config.model.likelihood, config.model.relations), (Likelihood::GaussianFixed, false));
        assert_eq!(config.training.learning_rate, expected.training.learning_rate);
        config.check().unwrap();
        config.settle(2, 4000);
        assert_eq!((config.objective.input_noise, config.model.variance_floor), (Some(0.0), Some(DENSITY_FLOOR)));
        assert_eq!(config.model.prior, Some(DENSITY_COMPONENTS));
        assert_eq!((config.objective.objective, config.objective.samples), (Some(Bound::Importance), Some(8)));
        let epochs = config.training.epochs.unwrap();
        assert_eq!((config.training.patience, config.objective.warm_up), (Some(epochs), Some(1)));
        // What a purpose chooses contradicts nothing that is given with it.
        for change in [
            (|config| config.objective.objective = Some(Bound::Importance)) as fn(&mut Config),
            |config| config.objective.objective = Some(Bound::Elbo),
            |config| config.model.posterior = PosteriorFamily::Bernoulli,
            |config| config.model.posterior = PosteriorFamily::Categorical,
            |config| config.model.likelihood = Likelihood::Bernoulli,
            |config| config.objective.free_bits = 0.1,
            |config| config.training.learning_rate = 1e-6,
        ] {
            let mut config = Config::for_purpose(Purpose::Density);
            change(&mut config);
            config.settle(2, 4000);
            config.check().unwrap();
        }
        assert_eq!(Config::of(toml::from_str("purpose = 'density'").unwrap()).unwrap(), expected);
        // And detection is what it was without a purpose.
        assert_eq!(Config::for_purpose(Purpose::Detection), Config::default());
    }

    #[test]
    fn every_setting_has_one_name_and_a_settled_configuration_survives_its_file() {
        let mut names: Vec<String> = Config::names().map(|(_, name)| name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), count > 30), (count, true));
        let mut config = Config::default();
        config.settle(10, 1000);
        let text = toml::to_string_pretty(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config, "{text}");
    }
}
