//! What is measured of a table.

use serde::Serialize;
use vae_train::{run::quantisation::MOST_FLIPPED, statistics::metrics::Detection};

use crate::detection::stream::Streamed;

/// Area under the ROC, average precision, and partial AUROC up to a false-positive rate of 0.1. NaN where nothing was measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Area under the receiver operating characteristic.
    pub auroc: f64,
    /// Area under the precision–recall curve.
    pub average_precision: f64,
    /// Area under the ROC up to a false-positive rate of 0.1, standardised to 0.5 … 1.
    pub pauc: f64,
}

impl From<Detection> for Figures {
    fn from(found: Detection) -> Self {
        Self { auroc: found.auroc, average_precision: found.average_precision, pauc: found.partial_auroc }
    }
}

impl Figures {
    /// Nothing was measured.
    pub const NONE: Self = Self { auroc: f64::NAN, average_precision: f64::NAN, pauc: f64::NAN };

    /// The mean of each figure, over those that were measured.
    #[must_use]
    pub fn mean(of: &[Self]) -> Self {
        let mean = |figure: fn(&Self) -> f64| mean(of.iter().map(figure).filter(|value| !value.is_nan()));
        Self {
            auroc: mean(|figures| figures.auroc),
            average_precision: mean(|figures| figures.average_precision),
            pauc: mean(|figures| figures.pauc),
        }
    }
}

/// The arithmetic mean; NaN of nothing.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// An exported model on a test table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Judged {
    /// How well its scores order the rows.
    #[serde(flatten)]
    pub figures: Figures,
    /// Share of the anomalies below its threshold, the 1 % quantile of held-out scores.
    pub detection_rate: f64,
    /// Share of the normal rows below it.
    pub false_alarm_rate: f64,
}

/// The verdicts that int8 flips: what `export` says of the held-out rows, and what happens on new ones.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Flips {
    /// Held-out rows, and how many of them flip, as `export` reports.
    pub held_out: usize,
    /// See [`Self::held_out`].
    pub flipped: usize,
    /// Mean magnitude of the scores' shift on them, in nats, as `export` reports.
    pub shift: f64,
    /// Interquartile range of the f32 scores on them, in nats, as `export` reports.
    pub spread: f64,
    /// Normal rows of the test table, and how many of them one model calls anomalous and the other does not.
    pub fresh: usize,
    /// See [`Self::fresh`].
    pub fresh_flipped: usize,
}

impl Flips {
    /// Whether `export` refuses the int8 model, as long as it is not forced.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.flipped > 2 && self.flipped as f64 > MOST_FLIPPED * self.held_out as f64
    }
}

/// One fit.
#[derive(Clone, Debug, Serialize)]
pub struct Seed {
    /// What the fit was seeded with.
    pub seed: u64,
    /// The model exported in f32.
    pub f32: Judged,
    /// The model exported in int8.
    pub int8: Judged,
    /// What int8 flips.
    pub flips: Flips,
    /// The int8 model over the table as a stream, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Streamed>,
    /// Of the int8 model file.
    pub bytes: u64,
    /// Wall time of `fit`.
    pub fit_seconds: f64,
}

/// A detector that the models are compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Classical {
    /// What it is.
    pub name: &'static str,
    /// None where it is not fitted: a mixture of too many features.
    pub figures: Option<Figures>,
    /// Over the table as a stream, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<Streamed>,
}

/// A table, the models of all seeds on it, and what they are compared with.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub table: String,
    /// Columns of the training table.
    pub features: usize,
    /// Its normal rows.
    pub training_rows: usize,
    /// Rows of the test table.
    pub test_rows: usize,
    /// Of them labelled anomalies.
    pub anomalies: usize,
    /// The models.
    pub seeds: Vec<Seed>,
    /// Mahalanobis, mixture and fifth neighbour.
    pub classical: [Classical; 3],
}

impl Report {
    /// The mean over the seeds.
    pub fn mean(&self, of: impl Fn(&Seed) -> f64) -> f64 {
        mean(self.seeds.iter().map(of))
    }

    /// The mean over the seeds' f32 models.
    #[must_use]
    pub fn f32(&self) -> Figures {
        Figures::mean(&self.seeds.iter().map(|seed| seed.f32.figures).collect::<Vec<_>>())
    }

    /// The mean over the seeds' int8 models.
    #[must_use]
    pub fn int8(&self) -> Figures {
        Figures::mean(&self.seeds.iter().map(|seed| seed.int8.figures).collect::<Vec<_>>())
    }

    /// Least and greatest AUROC of the seeds' int8 models.
    #[must_use]
    pub fn range(&self) -> (f64, f64) {
        let aurocs = || self.seeds.iter().map(|seed| seed.int8.figures.auroc);
        (aurocs().fold(f64::INFINITY, f64::min), aurocs().fold(f64::NEG_INFINITY, f64::max))
    }

    /// Means over the seeds in f32 and int8, then the detectors to compare with.
    #[must_use]
    pub fn columns(&self) -> [Figures; 5] {
        let [mahalanobis, mixture, neighbour] =
            self.classical.each_ref().map(|classical| classical.figures.unwrap_or(Figures::NONE));
        [self.f32(), self.int8(), mahalanobis, mixture, neighbour]
    }

    /// AUROC in int8 less that of the best of the detectors to compare with: negative where one of them is better.
    #[must_use]
    pub fn gap(&self) -> f64 {
        let [_, int8, rest @ ..] = self.columns();
        // `f64::max` passes over NaN.
        int8.auroc - rest.iter().map(|figures| figures.auroc).fold(f64::NAN, f64::max)
    }

    /// AUROC in int8 less that of the fifth neighbour.
    #[must_use]
    pub fn gap_to_neighbour(&self) -> f64 {
        let [_, int8, .., neighbour] = self.columns();
        int8.auroc - neighbour.auroc
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report of two seeds whose int8 AUROCs are these, with classical detectors that have those.
    pub(crate) fn report(table: &str, int8: [f64; 2], classical: [Option<f64>; 3]) -> Report {
        let of = |auroc: f64| Figures { auroc, average_precision: auroc / 2.0, pauc: 0.5 };
        let judged = |auroc| Judged { figures: of(auroc), detection_rate: 0.0, false_alarm_rate: 0.0 };
        let flips = Flips { held_out: 100, flipped: 0, shift: 0.0, spread: 1.0, fresh: 10, fresh_flipped: 0 };
        let seed = |seed: u64, auroc| Seed {
            seed,
            f32: judged(1.0),
            int8: judged(auroc),
            flips,
            stream: None,
            bytes: 100,
            fit_seconds: 1.0 + seed as f64,
        };
        let names = ["Mahalanobis", "mixture", "5th neighbour"];
        let mut classical = names.into_iter().zip(classical).map(|(name, auroc)| Classical {
            name,
            figures: auroc.map(of),
            stream: None,
        });
        let mut next = || classical.next().unwrap();
        Report {
            table: table.to_owned(),
            features: 2,
            training_rows: 10,
            test_rows: 20,
            anomalies: 10,
            seeds: vec![seed(0, int8[0]), seed(1, int8[1])],
            classical: [next(), next(), next()],
        }
    }

    #[test]
    fn gaps_are_to_the_best_that_was_fitted() {
        let found = report("a", [0.8, 0.9], [Some(0.7), None, Some(0.875)]);
        assert!((found.gap() + 0.025).abs() < 1e-12 && (found.gap_to_neighbour() + 0.025).abs() < 1e-12);
        assert!((report("a", [0.8, 0.9], [Some(0.7), Some(0.95), Some(0.8)]).gap() + 0.1).abs() < 1e-12);
        assert_eq!(found.range(), (0.8, 0.9));
    }

    #[test]
    fn means_pass_over_what_was_not_measured() {
        let of = |auroc| Figures { auroc, average_precision: f64::NAN, pauc: 1.0 };
        let found = Figures::mean(&[of(0.5), Figures::NONE, of(1.0)]);
        assert_eq!((found.auroc, found.pauc), (0.75, 1.0));
        assert!(found.average_precision.is_nan());
    }

    #[test]
    fn int8_is_refused_as_export_refuses_it() {
        let flips = |held_out, flipped| {
            Flips { held_out, flipped, shift: 0.0, spread: 1.0, fresh: 0, fresh_flipped: 0 }.is_refused()
        };
        assert_eq!([(80, 2), (80, 3), (1000, 10), (1000, 11)].map(|(n, f)| flips(n, f)), [false, true, false, true]);
    }
}
