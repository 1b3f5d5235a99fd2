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

/// The family of a column's likelihood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnFamily {
    /// A number, with a learned variance.
    Gaussian,
    /// 0 or 1.
    Bernoulli,
    /// One of some names or whole numbers.
    Categorical,
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
    /// What the model sees of the samples in a window: raw, mean, statistics, bands:N or mel:NxFRAMES [default: raw].
    ///
    /// `raw` are the samples themselves, `statistics` their mean, RMS, peak, crest factor, kurtosis and zero crossings, `bands:N` the energies
    /// of N bands of frequencies, `mel:NxFRAMES` those of N mel bands in each of so many half overlapping frames, for sound. `statistics` is for
    /// all channels, channel=statistics for one; a later setting replaces an earlier one. Give several with commas between them, or repeat the
    /// option.
    #[arg(long, value_delimiter = ',')]
    pub front_end: Vec<String>,
    /// Samples (rows) a second, where the data do not say: for mel bands, and for --load [default: what the file says].
    ///
    /// A WAV file and a column of times say it, and must not be contradicted.
    #[arg(long, hide_short_help = true)]
    pub rate: Option<f64>,
    /// Column that says 0 normal / 1 anomaly; no row labelled 1 is trained on [default: `label`, if there is one].
    #[arg(long)]
    pub label: Option<String>,
    /// Columns that are given to the model and not judged, such as a speed or a load: it learns what is normal at each value.
    ///
    /// The model is conditional on them, `p(x|c)`: encoder and decoder see the values of a window's last sample. Give several with commas
    /// between them, or repeat the option.
    #[arg(long)]
    pub condition: Vec<String>,
    /// Family of a column, as in state=categorical or count=bernoulli; the others are gaussian.
    ///
    /// A categorical column holds one of some names or whole numbers, as the mode of a machine; it may be in --condition, too. Give several with
    /// commas between them, or repeat the option.
    #[arg(long, value_name = "COLUMN=FAMILY")]
    pub column: Vec<String>,
    /// Columns to leave out: names, other labels.
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
            rate: None,
            condition: Vec::new(),
            column: Vec::new(),
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

    /// The columns whose family is given, each with it.
    ///
    /// # Errors
    /// If a family is none, or a column is given twice.
    pub fn column_families(&self) -> Result<Vec<(String, ColumnFamily)>> {
        let mut found: Vec<(String, ColumnFamily)> = Vec::new();
        for given in &self.column {
            let is_list = given.split(',').all(|part| family_of(part).is_some());
            let parts: Vec<&str> = if is_list { given.split(',').collect() } else { vec![given] };
            for part in parts {
                let Some((name, family)) = family_of(part) else {
                    bail!("column {part}: give COLUMN=FAMILY, with gaussian, bernoulli or categorical for FAMILY");
                };
                ensure!(!found.iter().any(|(known, _)| *known == name), "column {name}: its family is given twice");
                found.push((name, family));
            }
        }
        Ok(found)
    }

    /// The columns of this family, of those whose family is given.
    ///
    /// # Errors
    /// As [`Self::column_families`].
    pub fn columns_of(&self, wanted: ColumnFamily) -> Result<Vec<String>> {
        let of_family = self.column_families()?.into_iter().filter(|(_, family)| *family == wanted);
        Ok(of_family.map(|(name, _)| name).collect())
    }

    /// Refuses values that no fit can work with.
    ///
    /// # Errors
    /// Names the value and what it may be.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("window", self.window), ("hop", self.hop())] {
            ensure!(value > 0, "{name} is 0: give at least 1");
        }
        if let Some(rate) = self.rate.filter(|rate| !(*rate > 0.0 && rate.is_finite())) {
            bail!("rate {rate}: give a number above 0, in rows a second");
        }
        self.column_families()?;
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

/// A column and its family, of both with `=` between them.
fn family_of(given: &str) -> Option<(String, ColumnFamily)> {
    let (name, family) = given.rsplit_once('=')?;
    let family = match family.trim() {
        "gaussian" => ColumnFamily::Gaussian,
        "bernoulli" => ColumnFamily::Bernoulli,
        "categorical" => ColumnFamily::Categorical,
        _ => return None,
    };
    Some((name.trim().to_owned(), family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_given_one_by_one_or_with_commas() {
        let given = |column: &[&str]| DataConfig {
            column: column.iter().map(|column| (*column).to_owned()).collect(),
            ..DataConfig::default()
        };
        let found = given(&["state=categorical, on=bernoulli", "a,b=gaussian", "x=y=categorical"]).column_families();
        let expected = [
            ("state", ColumnFamily::Categorical),
            ("on", ColumnFamily::Bernoulli),
            ("a,b", ColumnFamily::Gaussian),
            ("x=y", ColumnFamily::Categorical),
        ];
        assert_eq!(found.unwrap(), expected.map(|(name, family)| (name.to_owned(), family)));
        for (column, expected) in [("state", "COLUMN=FAMILY"), ("state=poisson", "gaussian, bernoulli or categorical")]
        {
            assert!(given(&[column]).check().unwrap_err().to_string().contains(expected));
        }
        let twice = given(&["a=gaussian", "a=bernoulli"]).check().unwrap_err().to_string();
        assert!(twice.contains("given twice"), "{twice}");
    }
}
