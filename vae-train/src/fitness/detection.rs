//! Whether scores tell anomalies from normal windows.

use crate::{
    fitness::finding::{Finding, Grade},
    scoring::evaluation::Evaluation,
    words::numbers::percent,
};

/// AUROC from which anomalies are told well.
pub const WELL: f64 = 0.95;
/// AUROC from which they are told at all.
pub const SOMEHOW: f64 = 0.8;
/// Share of the anomalous windows that should be found.
pub const FOUND: f64 = 0.5;

/// Whether the scores of anomalous windows are low, and below the threshold.
pub(super) fn scores(evaluation: &Evaluation) -> Finding {
    let (auroc, rate) = (evaluation.detection.auroc, evaluation.detection_rate);
    let what = format!(
        "{} of the anomalous windows are below the threshold. An anomalous window scores lower than a normal one with a chance of {} \
         (AUROC; limits on each column alone: {}).",
        percent(rate),
        percent(auroc),
        percent(evaluation.baseline_independent_gaussians.auroc),
    );
    let (grade, next) = match (auroc, rate) {
        (auroc, _) if auroc < SOMEHOW => (
            Grade::Bad,
            "These anomalies hardly show in the columns as they are: look at the strangest windows (vae-train report), and give the model \
             what shows them (other sensors, a longer --window, a --front-end).",
        ),
        _ if evaluation.is_beaten_by_limits() => {
            (Grade::Caution, "Limits on each column alone do better: a smaller --latent or more data may help.")
        }
        (_, rate) if rate < FOUND => (
            Grade::Caution,
            "The scores tell more than the threshold uses: calibrate on more normal data, or accept more false alarms (calibrate --alarms).",
        ),
        (auroc, _) if auroc < WELL => (Grade::Caution, "Look at the windows that were missed before relying on it."),
        _ => (Grade::Good, ""),
    };
    Finding::new(grade, what, next)
}
