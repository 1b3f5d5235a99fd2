//! What a model is trained on: columns, windows, and what is held out.

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// Grey values turned into zeros and ones, each 1 with its value as the probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Binarise {
    /// Once, by the seed.
    Static,
    /// Anew in each epoch; the held-out windows once.
    Dynamic,
}

/// How rows are chosen for validation and calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// The last part, in the order of the file: for streams, whose windows overlap.
    Time,
    /// A random part, chosen by the seed: for independent rows.
    Seeded,
}

/// The section `data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Data")]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Samples (rows) in a window; 1 for a table of independent rows.
    #[arg(long, default_value_t = DataConfig::default().window)]
    pub window: usize,
    /// Samples between the starts of successive windows [default: half a window].
    #[arg(long)]
    pub hop: Option<usize>,
    /// What the model sees of the samples in a window: raw, mean, statistics or bands:N [default: raw].
    ///
    /// `raw` are the samples themselves, `statistics` their mean, RMS, peak, crest factor, kurtosis and zero crossings, `bands:N` the energies
    /// of N bands of frequencies. `statistics` is for all channels, channel=statistics for one; a later setting replaces an earlier one. Give
    /// several with commas between them, or repeat the option.
    #[arg(long, value_delimiter = ',')]
    pub front_end: Vec<String>,
    /// Column that says 0 normal / 1 anomaly; no row labelled 1 is trained on [default: `label`, if there is one].
    #[arg(long)]
    pub label: Option<String>,
    /// Columns that are given to the model and not judged, such as a speed or a load: it learns what is normal at each value.
    ///
    /// The model is conditional on them, `p(x|c)`: encoder and decoder see the values of a window's last sample. Give several with commas
    /// between them, or repeat the option.
    #[arg(long)]
    pub condition: Vec<String>,
    /// Columns to leave out: names, states, other labels.
    ///
    /// Give several with commas between them, or repeat the option. Columns of times are left out without being named.
    #[arg(long)]
    pub ignore: Vec<String>,
    /// Turn grey values between 0 and 1 into zeros and ones, for a Bernoulli likelihood.
    #[arg(long, hide_short_help = true)]
    pub binarise: Option<Binarise>,
    /// How far the level of each channel may wander before that is an anomaly, for rows in order of time; 0 for not at all.
    ///
    /// The unit is the typical difference between the levels of neighbouring eighths of the data. The model is trained, and its threshold
    /// chosen, on copies of the windows, each moved by a random normal number of such units.
    #[arg(long, hide_short_help = true, default_value_t = DataConfig::default().drift)]
    pub drift: f32,
    /// Leave out the training data's windows that stand out by far, which may be faults: at most this share of them.
    ///
    /// They are found before the fit by networks that cannot have learnt them, their rows are listed, and the run keeps the list. Without a
    /// share, as `--trim`, it is at most a tenth. What stands out may be healthy and rare: look at it.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "0.1", value_name = "SHARE")]
    pub trim: Option<f64>,
    /// Fraction of the normal windows held out for validation and calibration.
    #[arg(long, hide_short_help = true, default_value_t = DataConfig::default().validation)]
    pub validation: f64,
    /// How the held-out windows are chosen [default: time for windows, seeded for rows].
    #[arg(long, hide_short_help = true)]
    pub split: Option<Split>,
    /// Fraction of the held-out windows that are called anomalous until the run is calibrated.
    #[arg(long, hide_short_help = true, default_value_t = DataConfig::default().false_alarms)]
    pub false_alarms: f64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            label: None,
            window: 1,
            hop: None,
            front_end: Vec::new(),
            condition: Vec::new(),
            ignore: Vec::new(),
            binarise: None,
            drift: 0.0,
            trim: None,
            validation: 0.2,
            split: None,
            false_alarms: 0.01,
        }
    }
}

impl DataConfig {
    /// Samples between the starts of successive windows.
    #[must_use]
    pub fn hop(&self) -> usize {
        self.hop.unwrap_or((self.window / 2).max(1))
    }

    /// How the held-out windows are chosen.
    #[must_use]
    pub fn split(&self) -> Split {
        self.split.unwrap_or(if self.window > 1 { Split::Time } else { Split::Seeded })
    }

    /// Refuses values that no fit can work with.
    ///
    /// # Errors
    /// Names the value and what it may be.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("window", self.window), ("hop", self.hop())] {
            ensure!(value > 0, "{name} is 0: give at least 1");
        }
        ensure!(self.drift.is_finite() && self.drift >= 0.0, "drift {}: give 0 or more", self.drift);
        if !(self.validation > 0.0 && self.validation <= 0.9) {
            bail!("validation {}: give a fraction above 0, at most 0.9", self.validation);
        }
        if let Some(share) = self.trim.filter(|share| !(*share > 0.0 && *share <= 0.4)) {
            bail!("trim {share}: give a share of the windows above 0, at most 0.4");
        }
        if !(self.false_alarms > 0.0 && self.false_alarms < 1.0) {
            bail!("false_alarms {}: give a fraction between 0 and 1", self.false_alarms);
        }
        Ok(())
    }
}
