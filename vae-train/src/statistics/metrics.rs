//! How well scores tell anomalies from normal windows.

use anyhow::{Result, ensure};
use serde::Serialize;

/// False-positive rate up to which the partial AUROC is taken, as in DCASE and MLPerf Tiny.
const PARTIAL: f64 = 0.1;

/// Figures over labelled scores, where a higher score is more anomalous.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// Windows.
    pub windows: usize,
    /// Of them labelled anomalies.
    pub anomalies: usize,
    /// Area under the receiver operating characteristic.
    pub auroc: f64,
    /// Area under the precision–recall curve, as the step-wise sum.
    pub average_precision: f64,
    /// Area under the ROC up to a false-positive rate of 0.1, standardised to 0.5 … 1 (McClish 1989).
    #[serde(rename = "pauc")]
    pub partial_auroc: f64,
    /// The best F1 over all thresholds.
    pub best_f1: f64,
}

/// What is told by calling anomalous what has at least this score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatingPoint {
    /// The score.
    pub score: f64,
    /// Anomalies that have it.
    pub detected: usize,
    /// Normal windows that have it.
    pub false_alarms: usize,
}

/// One point per distinct score, from the strictest on: the curves that [`Detection`]'s areas are under. No score may be NaN.
#[must_use]
pub fn operating_points(scores: &[f64], labels: &[bool]) -> Vec<OperatingPoint> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let (mut detected, mut false_alarms) = (0, 0);
    let points = order.chunk_by(|&a, &b| scores[a] == scores[b]).map(|tied| {
        let positive = tied.iter().filter(|&&index| labels[index]).count();
        detected += positive;
        false_alarms += tied.len() - positive;
        OperatingPoint { score: scores[tied[0]], detected, false_alarms }
    });
    points.collect()
}

impl Detection {
    /// Computes the figures; ties count half.
    ///
    /// # Errors
    /// If a score is NaN or one of the classes is empty.
    pub fn of(scores: &[f64], labels: &[bool]) -> Result<Self> {
        ensure!(scores.len() == labels.len(), "{} scores for {} labels", scores.len(), labels.len());
        ensure!(scores.iter().all(|score| !score.is_nan()), "a score is NaN");
        let anomalies = labels.iter().filter(|label| **label).count();
        let normals = labels.len() - anomalies;
        let mut areas = Areas::of(anomalies, normals)?;
        operating_points(scores, labels).iter().for_each(|point| areas.add(point));
        Ok(areas.detection())
    }
}

/// The areas under the curves of operating points, which come one after the other, the strictest first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Areas {
    anomalies: usize,
    normals: usize,
    tpr: f64,
    fpr: f64,
    auroc: f64,
    average_precision: f64,
    partial: f64,
    best_f1: f64,
}

impl Areas {
    /// Of so many windows of each class.
    ///
    /// # Errors
    /// If one of them is empty.
    pub(crate) fn of(anomalies: usize, normals: usize) -> Result<Self> {
        ensure!(
            anomalies > 0 && normals > 0,
            "{anomalies} windows are labelled 1 and {normals} are labelled 0: both are needed to judge a model"
        );
        Ok(Self { anomalies, normals, ..Self::default() })
    }

    /// Takes the next point.
    pub(crate) fn add(&mut self, point: &OperatingPoint) {
        let Self { anomalies, normals, tpr, fpr, .. } = *self;
        let (tp, fp) = (point.detected, point.false_alarms);
        let (next_tpr, next_fpr) = (tp as f64 / anomalies as f64, fp as f64 / normals as f64);
        self.auroc += (next_fpr - fpr) * (tpr + next_tpr) / 2.0;
        if fpr < PARTIAL && next_fpr > fpr {
            let end = next_fpr.min(PARTIAL);
            let tpr_at_end = tpr + (next_tpr - tpr) * (end - fpr) / (next_fpr - fpr);
            self.partial += (end - fpr) * (tpr + tpr_at_end) / 2.0;
        }
        self.average_precision += (next_tpr - tpr) * tp as f64 / (tp + fp) as f64;
        self.best_f1 = self.best_f1.max(2.0 * tp as f64 / (tp + fp + anomalies) as f64);
        (self.tpr, self.fpr) = (next_tpr, next_fpr);
    }

    /// What all points come to.
    pub(crate) fn detection(&self) -> Detection {
        let Self { anomalies, normals, auroc, average_precision, partial, best_f1, .. } = *self;
        let chance = PARTIAL * PARTIAL / 2.0;
        let partial_auroc = 0.5 * (1.0 + (partial - chance) / (PARTIAL - chance));
        Detection { windows: anomalies + normals, anomalies, auroc, average_precision, partial_auroc, best_f1 }
    }
}

/// The `p` quantile of ascending values, interpolated linearly (type 7 of Hyndman & Fan 1996).
///
/// # Panics
/// Never for a non-empty slice.
#[must_use]
pub fn quantile(sorted: &[f32], p: f64) -> f32 {
    let at = p.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    (f64::from(low) + (f64::from(high) - f64::from(low)) * at.fract()) as f32
}

/// Spearman's rank correlation of two lists of equal length, ties at their mean rank; `None` if one of them is all ties.
#[must_use]
pub fn rank_correlation(a: &[f32], b: &[f32]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let variances = dot(&a, &a) * dot(&b, &b);
    (variances > 0.0).then(|| dot(&a, &b) / variances.sqrt())
}

/// The rank of each value, counted from 0; the mean rank of equal ones.
fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut ranks, mut below) = (vec![0.0; values.len()], 0);
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = below as f64 + (tied.len() as f64 - 1.0) / 2.0;
        tied.iter().for_each(|&index| ranks[index] = rank);
        below += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_is_the_chance_that_an_anomaly_scores_higher() {
        let scores: Vec<f64> = (0..200).map(|i| f64::from(i * 7919 % 61)).collect();
        let labels: Vec<bool> = (0..200).map(|i| i * 31 % 7 < 2).collect();
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (a, _) in scores.iter().zip(&labels).filter(|(_, label)| **label) {
            for (n, _) in scores.iter().zip(&labels).filter(|(_, label)| !**label) {
                wins += if a > n {
                    1.0
                } else if a == n {
                    0.5
                } else {
                    0.0
                };
                pairs += 1.0;
            }
        }
        assert!((Detection::of(&scores, &labels).unwrap().auroc - wins / pairs).abs() < 1e-12);
    }

    #[test]
    fn figures_agree_with_scikit_learn() {
        // scikit-learn 1.9.1: roc_auc_score, average_precision_score, roc_auc_score(max_fpr=0.1), on the lists below.
        let scores = [0.9, 0.8, 0.8, 0.7, 0.6, 0.5, 0.5, 0.4, 0.3, 0.2];
        let labels = [true, true, false, true, false, false, true, false, false, false];
        let found = Detection::of(&scores, &labels).unwrap();
        let expected = [0.833_333_333_333, 0.747_023_809_524, 0.644_736_842_105, 0.75];
        let found = [found.auroc, found.average_precision, found.partial_auroc, found.best_f1];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-8, "{found} for {expected}");
        }
    }

    #[test]
    fn one_class_or_nan_is_refused() {
        assert!(Detection::of(&[1.0, 2.0], &[true, true]).is_err());
        assert!(Detection::of(&[1.0, f64::NAN], &[true, false]).is_err());
    }

    #[test]
    fn rank_correlation_is_that_of_the_definition() {
        // Without ties: 1 − 6 Σ d² / (n (n² − 1)), here with d = 0, 1, −1, 1, −1.
        let found = rank_correlation(&[1.0, 2.0, 3.0, 4.0, 5.0], &[0.1, 50.0, 3.0, 900.0, 200.0]).unwrap();
        assert!((found - (1.0 - 6.0 * 4.0 / 120.0)).abs() < 1e-12, "{found}");
        let falling = rank_correlation(&[1.0, 2.0, 3.0], &[-1.0, -8.0, -27.0]).unwrap();
        assert!((falling + 1.0).abs() < 1e-12);
        // Ranks 0.5, 0.5, 2, 3 and 0, 1, 2.5, 2.5: covariance 4 of √(4.5 · 4.5).
        let tied = rank_correlation(&[1.0, 1.0, 2.0, 3.0], &[0.0, 1.0, 2.0, 2.0]).unwrap();
        assert!((tied - 4.0 / 4.5).abs() < 1e-12, "{tied}");
        assert_eq!(rank_correlation(&[1.0, 1.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[5.0], 0.01), 5.0);
    }
}
