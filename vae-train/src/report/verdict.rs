//! What a report comes to, for an engineer who must decide.

use anyhow::Result;
use maud::{Markup, html};

use crate::{
    calibration::support::TOLERANCE,
    fitness::{
        DRIFTING, FOUND, Fitness, SOMEHOW, WELL,
        finding::{Finding, Grade},
        findings,
    },
    report::material::Material,
    run::quantisation::MOST_FLIPPED,
    scoring::{
        cost,
        evaluation::Evaluation,
        event_outcome::{MOST_OF_IT, MOST_RAISED},
        false_alarm_test::NO_ACCIDENT,
    },
    words::{
        numbers::{count, number, percent},
        rates::rate_at_most,
    },
};

/// The class of a grade in the page's style.
const fn class(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "good",
        Grade::Unknown => "unknown",
        Grade::Caution => "caution",
        Grade::Bad => "bad",
    }
}

const fn word(grade: Grade) -> &'static str {
    match grade {
        Grade::Good => "✓ Good",
        Grade::Unknown => "? Unknown",
        Grade::Caution => "! Caution",
        Grade::Bad => "✗ Bad",
    }
}

/// What it all comes to: what labelled data say, and what the run itself says.
pub(super) fn fitness(material: &Material<'_>) -> Fitness {
    let evaluation = material.data.as_ref().and_then(|data| data.evaluation.as_ref());
    let mut all = evaluation.map_or_else(|| vec![untried()], findings);
    all.extend([Some(threshold(material)), Some(training(material)), int8(material)].into_iter().flatten());
    Fitness::of(all, evaluation)
}

/// The summary: the verdict, the figures that matter most, and the findings.
pub(super) fn draw(fitness: &Fitness, material: &Material<'_>) -> Result<Markup> {
    // Of several as bad, the first.
    let worst = fitness.findings.iter().rev().max_by_key(|finding| finding.grade);
    // What is good needs nothing first.
    let next = worst.filter(|worst| worst.grade != Grade::Good).and_then(|worst| worst.next.as_deref());
    Ok(html! {
        div class=(format!("verdict {}", class(fitness.grade))) {
            div {
                p { (fitness.headline) }
                @if let Some(next) = next { p { "First: " (next) } }
            }
        }
        dl class="tiles" {
            @for (name, value, more) in tiles(material)? {
                div { dt { (name) } dd { (value) } dd class="next" { (more) } }
            }
        }
        ul class="findings" {
            @for Finding { grade, what, next } in &fitness.findings {
                li class=(class(*grade)) {
                    span class="grade" { (word(*grade)) }
                    span { (what) @if let Some(next) = next { " " span class="next" { (next) } } }
                }
            }
        }
        details {
            summary { "How this is judged" }
            p {
                "The whole is as good as the worst of its parts. Detection is good from an AUROC of " (WELL) " on, if at least "
                (percent(FOUND)) " of the anomalous windows are found, and bad below " (SOMEHOW) ". A rate of false alarms is supported \
                 if the upper end of its 90 % interval is at most " (TOLERANCE) " times what was asked for. A model is not fit if an event \
                 (a run of rows labelled 1) raises no alarm, if the alarm is off for more than " (percent(1.0 - MOST_OF_IT)) " of an \
                 event's windows or raised more than " (MOST_RAISED) " times in it, except where a sensor's fault is reported instead, \
                 and if there are more false alarms than come by accident once in " (number(NO_ACCIDENT.recip())) " times (a one-sided \
                 Poisson test of those that the threshold was set for). More than " (percent(DRIFTING)) " of the windows outside events \
                 called drifting are worth a remark. Rounding to 8 bits is \
                 refused where it flips more than " (percent(MOST_FLIPPED)) " of the verdicts on held-out windows."
            }
        }
    })
}

fn untried() -> Finding {
    Finding::new(
        Grade::Unknown,
        "Detection has not been tried: no data with labels were given.".to_owned(),
        "Record some faults, label their rows 1, and give them as --data.",
    )
}

/// Whether the threshold stands for a rate of false alarms.
fn threshold(material: &Material<'_>) -> Finding {
    let Some(report) = material.calibration else {
        return Finding::new(
            Grade::Caution,
            format!(
                "The threshold is the {} quantile of {} held-out windows: it says nothing of alarms per week.",
                percent(material.state.plan.config.data.false_alarms),
                count(material.normal_scores.len())
            ),
            "Record more normal data and run vae-train calibrate with --alarms.",
        );
    };
    match (&report.alarms, &report.refusal) {
        (_, Some(refusal)) => Finding::new(
            Grade::Caution,
            format!("The rate of false alarms is not well known: {refusal}."),
            "Calibrate on a longer recording, or accept more false alarms (calibrate --alarms).",
        ),
        (Some((asked, (low, high))), None) => Finding::new(
            Grade::Good,
            format!(
                "On normal data like those calibrated on there will be {} false alarms as asked for; with 90 % confidence between {} and {}.",
                rate_at_most(*asked),
                rate_at_most(*low),
                rate_at_most(*high)
            ),
            "",
        ),
        (None, None) => Finding::new(
            Grade::Caution,
            format!(
                "The threshold is the {} quantile of {} normal windows: no rate of alarms was asked for.",
                percent(material.state.plan.config.data.false_alarms),
                count(report.windows)
            ),
            "Run vae-train calibrate with --alarms.",
        ),
    }
}

/// Whether the fit came to an end.
fn training(material: &Material<'_>) -> Finding {
    let checkpoint = &material.state.checkpoint;
    let (epochs, best) = (checkpoint.metrics.len(), checkpoint.best_epoch);
    if !checkpoint.done {
        let what = format!("The fit was interrupted after epoch {epochs}.");
        return Finding::new(Grade::Caution, what, "Go on with vae-train fit --resume.");
    }
    if material.fit.as_ref().and_then(|fit| fit.active_units) == Some(0) {
        return Finding::new(
            Grade::Bad,
            "The posterior collapsed: the model decodes the same for every window.".to_owned(),
            "Fit again: the fit said what was tried and what would help, and summary.json has it.",
        );
    }
    let what = format!("Epoch {best} of {epochs} was the best on windows that were not trained on, and is used.");
    if best == epochs {
        Finding::new(Grade::Caution, what, "It was the last one: more --epochs may help.")
    } else {
        Finding::new(Grade::Good, what, "")
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
        return Some(Finding::new(
            Grade::Caution,
            format!("{what} That is too much: this report is on the f32 model."),
            "Export with --precision f32, or fit again with --quantisation-aware 30.",
        ));
    }
    if quantisation.score_shift.mean_magnitude > 0.1 * quantisation.spread {
        return Some(Finding::new(Grade::Caution, what, "Compare vae-train evaluate of both precisions."));
    }
    Some(Finding::new(Grade::Good, what, ""))
}

/// Name, value and remark of what was found: events in a stream, windows in a table.
fn found(evaluation: &Evaluation) -> (&'static str, String, String) {
    let (rate, auroc) = (percent(evaluation.detection_rate), evaluation.detection.auroc);
    if !evaluation.is_of_stream() {
        return ("Anomalous windows found", rate, format!("AUROC {auroc:.4}"));
    }
    let outcomes = &evaluation.event_outcomes;
    let noticed = outcomes.iter().filter(|outcome| outcome.fate.is_noticed()).count();
    (
        "Events noticed",
        format!("{} of {}", count(noticed), count(outcomes.len())),
        format!("{rate} of the anomalous windows are below the threshold; AUROC {auroc:.4}"),
    )
}

/// Name, value and remark of the figures that matter most.
fn tiles(material: &Material<'_>) -> Result<Vec<(&'static str, String, String)>> {
    let model = &material.model;
    let mut tiles = Vec::new();
    tiles.push(match material.calibration.and_then(|report| report.alarms) {
        Some((asked, (low, high))) => (
            "False alarms",
            rate_at_most(asked),
            format!("between {} and {} with 90 % confidence", rate_at_most(low), rate_at_most(high)),
        ),
        None => (
            "False alarms",
            percent(material.state.plan.config.data.false_alarms),
            "of normal windows; not calibrated to a rate of alarms".to_owned(),
        ),
    });
    if let Some(evaluation) = material.data.as_ref().and_then(|data| data.evaluation.as_ref()) {
        tiles.push(found(evaluation));
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
