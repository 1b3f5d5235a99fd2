//! Settings of window and front-end that a search tries.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    data::front_end::front_ends,
    run::search::{
        budget::{Budget, Cost, cost},
        disturbance::measure,
    },
};

/// Windows that are tried.
const WINDOWS: [usize; 7] = [1, 8, 16, 32, 64, 128, 256];
/// Most values in a window that is tried.
const MOST_FEATURES: usize = 1024;
/// Bands of a channel that are tried, where the window has so many.
const BANDS: usize = 16;
/// Fewest windows to train on.
const LEAST_WINDOWS: usize = 100;
/// Windows that `calibrate` wants of a recording as long as this one; windows overlap more where there are fewer.
const ENOUGH_WINDOWS: usize = 500;
/// Hidden layers and components of the prior, from the default on, of which the largest within the budget is taken.
const SIZES: [Option<(&[usize], usize)>; 5] =
    [None, Some((&[64, 32], 16)), Some((&[32, 16], 8)), Some((&[16, 8], 4)), Some((&[8, 8], 0))];

/// A setting, and what became of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tried {
    /// Samples in a window.
    pub window: usize,
    /// Samples between the starts of windows.
    pub hop: usize,
    /// As `--front-end` has it.
    pub front_end: String,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Components of the prior.
    pub prior: usize,
    /// Windows of the whole recording.
    pub windows: usize,
    /// Of the model on the device.
    pub cost: Option<Cost>,
    /// Why it was not tried.
    pub excluded: Option<String>,
    /// How well it tells disturbed stretches from others; see [`measure`].
    pub measure: Option<f64>,
    /// For each disturbance, the chance that a disturbed stretch scores stranger than another.
    pub by_disturbance: Vec<(String, f64)>,
}

impl Tried {
    /// The settings that are tried on a table of so many channels, by pieces of so many rows, of which the judged stretches have `longest`.
    #[must_use]
    pub fn all(pieces: &[usize], longest: usize) -> Vec<Self> {
        let mut all = Vec::new();
        for window in WINDOWS.into_iter().filter(|window| *window <= longest) {
            let windows =
                |hop: usize| pieces.iter().map(|rows| (rows + hop).saturating_sub(window) / hop).sum::<usize>();
            let mut hop = (window / 2).max(1);
            while windows(hop) < ENOUGH_WINDOWS && hop > (window / 8).max(1) {
                hop /= 2;
            }
            let bands = BANDS.min(window / 4);
            let front_ends = [
                Some("raw".to_owned()),
                (window >= 16).then(|| "statistics".to_owned()),
                (window >= 32).then(|| format!("bands:{bands}")),
            ];
            let setting = |front_end| Self { window, hop, front_end, windows: windows(hop), ..Self::default() };
            all.extend(front_ends.into_iter().flatten().map(setting));
        }
        all
    }

    /// A configuration with this setting.
    #[must_use]
    pub fn configured(&self, config: &Config) -> Config {
        let mut config = config.clone();
        config.data.window = self.window;
        config.data.hop = Some(self.hop);
        config.data.front_end = if self.front_end == "raw" { Vec::new() } else { vec![self.front_end.clone()] };
        if !self.hidden.is_empty() {
            config.model.hidden = Some(self.hidden.clone());
            config.model.prior = Some(self.prior);
        }
        config
    }

    /// Chooses the largest network within the budget, or says why the setting is out of the question.
    ///
    /// # Errors
    /// If the front-end names no channel, or no file can be written.
    pub fn judge_cost(
        &mut self,
        config: &Config,
        channels: &[String],
        budget: &Budget,
        rate: Option<f64>,
    ) -> Result<()> {
        let base = self.configured(config);
        let ends = front_ends(&base.data.front_end, channels, self.window, rate)?;
        let features = match ends.is_empty() {
            true => channels.len() * self.window,
            false => ends.iter().map(|end| end.features(self.window)).sum(),
        };
        if features > MOST_FEATURES {
            self.excluded = Some(format!("{features} values in a window, more than {MOST_FEATURES}"));
            return Ok(());
        }
        if self.windows < LEAST_WINDOWS {
            self.excluded = Some(format!("{} windows in the recording, {LEAST_WINDOWS} are needed", self.windows));
            return Ok(());
        }
        // A network that was asked for is taken as it is.
        let sizes =
            if config.model.hidden.is_some() || config.model.prior.is_some() { &SIZES[..1] } else { &SIZES[..] };
        for size in sizes {
            let mut sized = base.clone();
            if let Some((hidden, prior)) = size {
                sized.model.hidden = Some(hidden.to_vec());
                sized.model.prior = Some(*prior);
            }
            let architecture = sized.architecture(features);
            let found = cost(&architecture, (channels.len(), self.window, self.hop), &ends, budget, rate)?;
            self.excluded = budget.excludes(&found);
            self.cost = Some(found);
            if self.excluded.is_none() {
                (self.hidden, self.prior) = (architecture.hidden, architecture.prior);
                break;
            }
        }
        Ok(())
    }

    /// Takes over what was found of each disturbance.
    pub fn measured(&mut self, aurocs: &[(&str, f64)]) {
        self.measure = Some(measure(aurocs));
        self.by_disturbance = aurocs.iter().map(|(name, auroc)| ((*name).to_owned(), *auroc)).collect();
    }

    /// Instructions a sample, by which settings that are as good are compared.
    pub(crate) fn price(&self) -> f64 {
        self.cost.as_ref().map_or(f64::INFINITY, |cost| cost.instructions as f64 / self.hop as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_overlap_more_where_a_recording_is_short_and_are_no_longer_than_what_is_judged() {
        let all = Tried::all(&[4000, 4000], 64);
        let settings: Vec<_> = all.iter().map(|one| (one.window, one.hop, one.windows, &*one.front_end)).collect();
        // Of each piece (4000 − window) / hop + 1 windows.
        assert_eq!(settings[..2], [(1, 1, 8000, "raw"), (8, 4, 1998, "raw")]);
        assert_eq!(
            settings[4..7],
            [(32, 16, 498, "raw"), (32, 16, 498, "statistics"), (32, 16, 498, "bands:8")]
                .map(|(w, _, _, f)| (w, 8, 994, f))
        );
        assert_eq!(
            settings[7..],
            [(64, 16, 494, "raw"), (64, 16, 494, "statistics"), (64, 16, 494, "bands:16")]
                .map(|(w, _, _, f)| (w, 8, 986, f))
        );
    }

    #[test]
    fn a_network_is_made_smaller_until_it_is_within_the_budget() {
        let (config, channels) = (Config::default(), vec!["a".to_owned()]);
        let tried = |config: &Config, flash: usize| {
            let mut setting = Tried { window: 16, hop: 8, windows: 1000, front_end: "raw".into(), ..Tried::default() };
            let budget = Budget { flash: Some(flash), ..Budget::default() };
            setting.judge_cost(config, &channels, &budget, None).unwrap();
            setting
        };
        assert_eq!(tried(&config, 1 << 20).hidden, [128, 64]);
        let small = tried(&config, 8 << 10);
        assert!(small.excluded.is_none() && small.cost.unwrap().flash <= 8 << 10 && small.hidden[0] < 128);
        assert!(tried(&config, 500).excluded.unwrap().contains("bytes of flash, 500 are given"));
        // What was asked for is not changed.
        let mut asked = config.clone();
        asked.model.hidden = Some(vec![128, 64]);
        assert!(tried(&asked, 8 << 10).excluded.is_some());
        let mut rare = Tried { window: 16, hop: 8, windows: 99, front_end: "raw".into(), ..Tried::default() };
        rare.judge_cost(&config, &channels, &Budget::default(), None).unwrap();
        assert!(rare.excluded.unwrap().contains("99 windows in the recording"));
    }
}
