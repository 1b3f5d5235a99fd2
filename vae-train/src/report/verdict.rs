//! What a report comes to, for an engineer who must decide.

use anyhow::Result;
use maud::{Markup, html};
use serde::Serialize;

use super::{
    Material,
    words::{count, number, percent},
};
use crate::{
    cost,
    false_alarms::{describe, span},
    support::TOLERANCE,
    quantisation::MOST_FLIPPED,
};

/// AUROC from which anomalies are told well, and from which they are told at all.
const WELL: f64 = 0.95;
const SOMEHOW: f64 = 0.8;
/// Share of the anomalous windows that should be found.
const FOUND: f64 = 0.5;
/// Chance at which so many false alarms are no accident.
const NO_ACCIDENT: f64 = 0.01;

/// How good something is, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Nothing is known.
    Unknown,
    /// Look at it before it is used.
    Caution,
    /// Not to be used like this.
    Bad,
}

impl Grade {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unknown => "unknown",
            Self::Caution => "caution",
            Self::Bad => "bad",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Good => "✓ Good",
            Self::Unknown => "? Unknown",
            Self::Caution => "! Caution",
            Self::Bad => "✗ Bad",
        }
    }
}

/// Something found out, and what to do about it.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// How good it is.
    pub grade: Grade,
    /// What it is.
    pub what: String,
    /// What to do; none where there is nothing to do.
    pub next: Option<String>,
}

/// Whether a model is fit for use.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// That of the worst finding.
    pub grade: Grade,
    /// In one sentence.
    pub headline: &'static str,
    /// Why.
    pub findings: Vec<Finding>,
}

impl Verdict {
    pub(super) fn of(material: &Material<'_>) -> Self {
        let findings: Vec<Finding> =
            [detection(material), false_alarms(material), threshold(material), training(material), int8(material)]
                .into_iter()
                .flatten()
                .collect();
        let grade = findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Unknown);
        let headline = match grade {
            Grade::Good => "Fit for use on data like these.",
            Grade::Unknown => "Trained and calibrated; whether it finds anomalies has not been tried.",
            Grade::Caution => "Usable with care: see what is marked below.",
            Grade::Bad => "Not fit for use yet: see what is marked below.",
        };
        Self { grade, headline, findings }
    }

    pub(super) fn draw(&self, material: &Material<'_>) -> Result<Markup> {
        // Of several as bad, the first.
        let worst = self.findings.iter().rev().max_by_key(|finding| finding.grade);
        let next = worst.and_then(|worst| worst.next.as_deref());
        Ok(html! {
            div class=(format!("verdict {}", self.grade.class())) {
                div {
                    p { (self.headline) }
                    @if let Some(next) = next { p { "First: " (next) } }
                }
            }
            dl class="tiles" {
                @for (name, value, more) in tiles(material)? {
                    div { dt { (name) } dd { (value) } dd class="next" { (more) } }
                }
            }
            ul class="findings" {
                @for Finding { grade, what, next } in &self.findings {
                    li class=(grade.class()) {
                        span class="grade" { (grade.word()) }
                        span { (what) @if let Some(next) = next { " " span class="next" { (next) } } }
                    }
                }
            }
            details {
                summary { "How this is judged" }
                p {
                    "The whole is as good as the worst of its parts. Detection is good from an AUROC of " (WELL) " on, if at least "
                    (percent(FOUND)) " of the anomalous windows are found, and bad below " (SOMEHOW) ". A rate of false alarms is supported \
                     if the upper end of its 90 % interval is at most " (TOLERANCE) " times what was asked for. Rounding to 8 bits is \
                     refused where it flips more than " (percent(MOST_FLIPPED)) " of the verdicts on held-out windows."
                }
            }
        })
    }
}

fn finding(grade: Grade, what: String, next: &str) -> Option<Finding> {
    Some(Finding { grade, what, next: (!next.is_empty()).then(|| next.to_owned()) })
}

/// Whether anomalies are found.
fn detection(material: &Material<'_>) -> Option<Finding> {
    let Some(evaluation) = material.data.as_ref().and_then(|data| data.evaluation.as_ref()) else {
        return finding(
            Grade::Unknown,
            "Detection has not been tried: no labelled data were given.".to_owned(),
            "Record some faults, label their rows 1, and give them as --data.",
        );
    };
    let (auroc, rate) = (evaluation.detection.auroc, evaluation.detection_rate);
    let baseline = evaluation.baseline_independent_gaussians.auroc;
    let what = format!(
        "{} of the anomalous windows are below the threshold, and {} of {} events raised an alarm. An anomalous window scores lower than \
         a normal one with a chance of {} (AUROC; limits on each column alone: {}).",
        percent(rate),
        evaluation.events.detected,
        evaluation.events.events.len(),
        percent(auroc),
        percent(baseline),
    );
    match (auroc, rate) {
        (auroc, _) if auroc < SOMEHOW => finding(
            Grade::Bad,
            what,
            "These anomalies hardly show in the columns as they are: see the strangest windows below, and give the model what shows them \
             (other sensors, a longer --window, a --front-end).",
        ),
        _ if evaluation.is_beaten_by_limits() => finding(
            Grade::Caution,
            what,
            "Limits on each column alone do better: a smaller --latent or more data may help.",
        ),
        (_, rate) if rate < FOUND => finding(
            Grade::Caution,
            what,
            "The scores tell more than the threshold uses: calibrate on more normal data, or bear more false alarms (calibrate --alarms).",
        ),
        (auroc, _) if auroc < WELL => {
            finding(Grade::Caution, what, "Look at the windows that were missed before relying on it.")
        }
        _ => finding(Grade::Good, what, ""),
    }
}

/// Whether the false alarms that were seen are those that were promised.
fn false_alarms(material: &Material<'_>) -> Option<Finding> {
    let evaluation = material.data.as_ref()?.evaluation.as_ref()?;
    let (_, (_, most)) = material.calibration?.alarms?;
    let (seen, per_hour) = (evaluation.events.false_alarms, evaluation.events.false_alarms_per_hour?);
    let windows_per_second = material.calibration?.windows_per_second?;
    let hours = match seen {
        0 => evaluation.events.normal_windows as f64 / windows_per_second / 3600.0,
        seen => seen as f64 / per_hour,
    };
    let expected = most * 3600.0 * hours;
    if seen == 0 && expected < 1.0 {
        return None; // too short to say anything
    }
    let what = format!(
        "{seen} false alarm(s) in {} of normal data; by the calibration there should be at most {} on average.",
        span(3600.0 * hours),
        number(expected)
    );
    if poisson_at_least(seen, expected) < NO_ACCIDENT {
        let next = "Normal running here differs from what was calibrated on: calibrate on all kinds of it.";
        return finding(Grade::Caution, what, next);
    }
    finding(Grade::Good, what, "")
}

/// The chance of `count` events or more where `mean` are expected.
fn poisson_at_least(count: usize, mean: f64) -> f64 {
    if count == 0 {
        return 1.0;
    }
    let count = count as f64;
    // Away from the mean, so that terms fall. The first one by its logarithm: e^−mean alone is 0 from 746 on.
    let is_above = count > mean;
    let (mut k, mut sum) = (if is_above { count } else { count - 1.0 }, 0.0);
    let mut term = (k * mean.ln() - mean - libm::lgamma(k + 1.0)).exp();
    while term > f64::EPSILON * sum {
        sum += term;
        (term, k) = if is_above { (term * mean / (k + 1.0), k + 1.0) } else { (term * k / mean, k - 1.0) };
    }
    if is_above { sum } else { 1.0 - sum }
}

/// Whether the threshold stands for a rate of false alarms.
fn threshold(material: &Material<'_>) -> Option<Finding> {
    let Some(report) = material.calibration else {
        return finding(
            Grade::Caution,
            format!(
                "The threshold is the {} quantile of {} held-out windows: it says nothing of alarms per week.",
                percent(material.state.config.false_alarms),
                count(material.normal_scores.len())
            ),
            "Record more normal data and run vae-train calibrate with --alarms.",
        );
    };
    match (&report.alarms, &report.refusal) {
        (_, Some(refusal)) => finding(
            Grade::Caution,
            format!("The rate of false alarms is not well known: {refusal}."),
            "Calibrate on a longer recording, or bear more alarms.",
        ),
        (Some((asked, (low, high))), None) => finding(
            Grade::Good,
            format!(
                "On normal data like those calibrated on there will be {} false alarms as asked for; with 90 % confidence between {} and {}.",
                describe(*asked),
                describe(*low),
                describe(*high)
            ),
            "",
        ),
        (None, None) => finding(
            Grade::Caution,
            format!(
                "The threshold is the {} quantile of {} normal windows: no rate of alarms was asked for.",
                percent(material.state.config.false_alarms),
                count(report.windows)
            ),
            "Run vae-train calibrate with --alarms.",
        ),
    }
}

/// Whether the fit came to an end.
fn training(material: &Material<'_>) -> Option<Finding> {
    let checkpoint = &material.state.checkpoint;
    let (epochs, best) = (checkpoint.metrics.len(), checkpoint.best_epoch);
    if !checkpoint.done {
        let what = format!("The fit was interrupted after epoch {epochs}.");
        return finding(Grade::Caution, what, "Go on with vae-train fit --resume.");
    }
    if material.fit.as_ref().and_then(|fit| fit.active_units) == Some(0) {
        return finding(
            Grade::Bad,
            "The posterior collapsed: the model decodes the same for every window.".to_owned(),
            "Fit again with --warm-up 20, --free-bits 0.1, or a lower --beta or --learning-rate.",
        );
    }
    let what = format!("Epoch {best} of {epochs} was the best on windows that were not trained on, and is used.");
    if best == epochs {
        finding(Grade::Caution, what, "It was the last one: more --epochs may help.")
    } else {
        finding(Grade::Good, what, "")
    }
}

/// Whether int8 judges as f32 does.
fn int8(material: &Material<'_>) -> Option<Finding> {
    let quantisation = material.quantisation?;
    let what = format!(
        "8-bit weights change the verdict on {} of {} held-out windows, and scores by {} nats on average (these spread by {}).",
        quantisation.flipped,
        count(quantisation.windows),
        number(quantisation.score_shift.mean_magnitude),
        number(quantisation.spread)
    );
    if quantisation.check().is_err() {
        return finding(
            Grade::Caution,
            format!("{what} That is too much: this report is on the f32 model."),
            "Export with --precision f32, or fit again with --quantisation-aware 30.",
        );
    }
    if quantisation.score_shift.mean_magnitude > 0.1 * quantisation.spread {
        return finding(Grade::Caution, what, "Compare vae-train evaluate of both precisions.");
    }
    finding(Grade::Good, what, "")
}

/// Name, value and remark of the figures that matter most.
fn tiles(material: &Material<'_>) -> Result<Vec<(&'static str, String, String)>> {
    let model = &material.model;
    let mut tiles = Vec::new();
    tiles.push(match material.calibration.and_then(|report| report.alarms) {
        Some((asked, (low, high))) => (
            "False alarms",
            describe(asked),
            format!("between {} and {} with 90 % confidence", describe(low), describe(high)),
        ),
        None => (
            "False alarms",
            percent(material.state.config.false_alarms),
            "of normal windows; not calibrated to a rate of alarms".to_owned(),
        ),
    });
    if let Some(evaluation) = material.data.as_ref().and_then(|data| data.evaluation.as_ref()) {
        let events = &evaluation.events;
        tiles.push((
            "Anomalous windows found",
            percent(evaluation.detection_rate),
            format!("{} of {} events; AUROC {:.4}", events.detected, events.events.len(), evaluation.detection.auroc),
        ));
    }
    let ram = 4 * (model.scratch_len() + model.window_len() + model.state_len());
    tiles.push((
        "Flash",
        format!("{} bytes", count(model.flash_len())),
        format!("and {} bytes of RAM: scratch, window and detector", count(ram)),
    ));
    if let Some((core, instructions)) = cost::instructions(model)?.into_iter().next() {
        let load = material
            .calibration
            .and_then(|report| report.windows_per_second)
            .map_or(String::new(), |rate| format!(": {} million a second", number(rate * instructions as f64 / 1e6)));
        tiles.push(("Instructions a window", count(instructions), format!("on a {core}{load}")));
    }
    Ok(tiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_poisson_tail_is_the_tables() {
        // scipy: poisson.sf(k - 1, mu); the larger ones summed in decimals of 60 digits.
        for (count, mean, expected) in [
            (0, 0.3, 1.0),
            (1, 0.0, 0.0),
            (1, 0.3, 0.259_182),
            (4, 1.0, 0.018_988),
            (5, 2.0, 0.052_653),
            (12, 5.0, 0.005_453),
            (800, 746.0, 0.026_064_497),
            (900, 1e3, 0.999_377_402),
            (1000, 1e3, 0.504_205_244),
            (1100, 1e3, 0.000_962_630),
            (3211, 1356.0, 0.0),
            (100_000, 1e5, 0.500_420_522),
        ] {
            let found = poisson_at_least(count, mean);
            assert!((found - expected).abs() < 1e-6, "{count} {mean}: {found}");
        }
    }
}
