//! What a fit came to.

use crate::{
    config::model::Purpose,
    run::{
        fit::Fitted,
        simpler::Simpler,
        standing_out::{Rows, StandingOut},
    },
    tables::table::LABEL,
    words::messages::quoted,
};

/// Most stretches of rows that are listed.
const LISTED: usize = 7;
/// Training windows that score higher than held-out ones by this share of what was learnt have been learnt by heart.
const OVER_FITTED: f64 = 0.25;

/// What a fit came to, and what to do next, in lines.
pub(super) fn summary(fitted: &Fitted) -> String {
    let Fitted { epochs, best_epoch, divergences, validation_elbo, baseline, training_elbo, .. } = fitted;
    // Where the step size falls, the last epoch is the best as a rule.
    let may_go_on = best_epoch == epochs && fitted.purpose == Purpose::Detection;
    let more = if may_go_on { " (the last was the best: more --epochs may help)" } else { "" };
    let mut lines = vec![format!(
        "best epoch {best_epoch} of {epochs}{more}: validation ELBO {validation_elbo:.4} nats per window (standardised)"
    )];
    let gain = validation_elbo - baseline;
    lines.push(if gain > 0.0 {
        format!("  {gain:.3} nats above a model of independent features ({baseline:.3}): so much was learnt of how they depend on each \
             other")
    } else {
        format!(
            "  {:.3} nats below a model of independent features ({baseline:.3}): nothing was learnt of how they depend on each other; \
             give more data, a --window for a series, or more --epochs",
            -gain
        )
    });
    let gap = training_elbo - validation_elbo;
    let judgement = if gap > OVER_FITTED * gain.abs().max(1.0) {
        ": over-fitted, or the held-out windows are of another kind; give more data, a smaller --hidden or a larger --input-noise"
    } else {
        ": not over-fitted"
    };
    lines.push(format!(
        "{} windows trained on ({training_elbo:.3} nats), {} held out{judgement}",
        fitted.training_windows, fitted.held_out_windows
    ));
    let mut unused = fitted.unused.iter().flat_map(|unused| unused.lines(fitted.active_units));
    let in_use = format!("{} of {} latent dimensions in use", fitted.active_units, fitted.latent);
    lines.push(in_use + &unused.next().unwrap_or_default());
    lines.extend(unused);
    if !divergences.is_empty() {
        let rate = fitted.learning_rate;
        lines.push(format!(
            "training diverged {} time(s), and the learning rate was lowered to {rate:.3e}",
            divergences.len()
        ));
    }
    // One that was left out has been noted.
    let stored = fitted.second_stage.iter().filter(|judgement| judgement.is_stored);
    lines.extend(stored.map(|judgement| format!("second stage: {}", judgement.line())));
    lines.extend(standing_out(fitted));
    lines.extend(fitted.simpler.iter().flat_map(Simpler::lines));
    lines.extend(next_steps(fitted));
    lines.join("\n")
}

/// What to do next, in lines.
fn next_steps(fitted: &Fitted) -> Vec<String> {
    let run = quoted(fitted.run.display());
    if fitted.purpose == Purpose::Density {
        return vec![
            format!("next: vae-train export {run} --precision f32 --out model.vae"),
            "then: vae-train evaluate model.vae TEST.csv --likelihood --train TRAIN.csv".to_owned(),
            "      (how likely data are that were not trained on, beside kernel densities)".to_owned(),
        ];
    }
    // That column is found without being named.
    let label = match fitted.label.as_deref() {
        None | Some(LABEL) => String::new(),
        Some(label) => format!(" --label {}", quoted(label)),
    };
    vec![
        format!("next: vae-train calibrate {run} --normal HOLDOUT.csv{label} --alarms 1/week"),
        "      (normal data that were not trained on, in the order of time)".to_owned(),
        format!("then: vae-train export {run} --out model.vae"),
    ]
}

/// The rows that stand out of the training data, or have been left out, and what to do about them; nothing where there are none.
fn standing_out(fitted: &Fitted) -> Vec<String> {
    let is_trimmed = fitted.trimmed.windows > 0;
    let found = if is_trimmed { &fitted.trimmed } else { &fitted.standing_out };
    let StandingOut { screened, windows, expected, rows } = found;
    if *windows == 0 {
        return Vec::new();
    }
    let share = 100.0 * *windows as f64 / *screened as f64;
    let what =
        if is_trimmed { "stood out of the others by far and were left out" } else { "stand out of the others by far" };
    let mut lines = vec![format!(
        "{windows} of {screened} windows ({share:.2} %) {what} ({expected} are expected of clean data), in rows"
    )];
    let mut strangest: Vec<&Rows> = rows.iter().collect();
    strangest.sort_by(|a, b| b.excess.total_cmp(&a.excess));
    strangest.truncate(LISTED);
    strangest.sort_by_key(|rows| rows.first);
    let each =
        strangest.iter().map(|rows| format!("  {} to {} ({:.1} nats beyond)", rows.first, rows.last, rows.excess));
    lines.extend(each);
    if rows.len() > LISTED {
        lines.push(format!("  and {} more stretches of rows (--json lists them)", rows.len() - LISTED));
    }
    lines.push(if is_trimmed {
        "  look at them: what is healthy and rare will raise alarms; record more of it, and fit without --trim".to_owned()
    } else {
        "  look at them: label faults 1, or fit with --trim, which leaves them out; record more of what is healthy and rare".to_owned()
    });
    lines
}
