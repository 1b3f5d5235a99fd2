//! `vae-train evaluate`: judge a model on labelled data.

mod generation;

use std::{
    path::{Path, PathBuf},
    slice,
};

use anyhow::{Context as _, Result, ensure};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::{
    cli::{
        context::{Context, ModelAndData, note},
        progress,
    },
    data::{
        for_model::read_for_model,
        part::binarise,
        stream_for_model::{Stretch, Stretches},
        windows::Buffer,
    },
    file::model_file::AlignedFile,
    fitness::Fitness,
    scoring::{
        detection::{Detecting, Memory},
        evaluating::{Evaluating, LabelledRows},
        evaluation::Evaluation,
        event_outcome::Fate,
        log_likelihood::{ELBO_SAMPLES, Estimate, KernelEstimate, LogLikelihoods, MOST_SAMPLES, log_likelihoods},
        of_device_from,
    },
    tables::{reading::Reading, recording::Label, spool::scratch_directory, table::LABEL},
    words::{messages::quoted_paths, numbers::percent},
};

/// Events that are listed.
const MOST_EVENTS: usize = 12;

/// Try a model on data: how well it tells anomalies from normal windows and events from normal running, or how well it explains the data
/// (--likelihood) or generates such (--generation).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train evaluate model.vae test.csv --label label --json
  vae-train evaluate model.vae test.csv --likelihood --train train.csv --windows 200
  vae-train evaluate model.vae test.csv --generation")]
pub(super) struct Evaluate {
    #[command(flatten)]
    input: ModelAndData,
    /// Estimate the mean log-likelihood instead: ELBO, importance-weighted by 1 to 1000 samples, and by the prior.
    ///
    /// The ELBO comes in two ways: with the KL in closed form, of which a learned prior has only an upper bound, so that this is a lower bound of
    /// the ELBO; and by samples alone, without bias. What ln p(x) exceeds the latter by is KL(q(z|x) || p(z|x)), the encoder's distance from
    /// the exact posterior: it, and ln p(x), are a little too small by 1000 samples.
    #[arg(long, help_heading = "Log-likelihood", group = "estimates")]
    likelihood: bool,
    /// With --likelihood: compare with a Gaussian and kernel density estimates that are fitted to this table.
    #[arg(long, requires = "likelihood", help_heading = "Log-likelihood", hide_short_help = true)]
    train: Option<PathBuf>,
    /// With --train: a kernel density estimate with this bandwidth, too, in standard deviations of each feature.
    ///
    /// Those by Scott's rule and by the likelihood of each row given the others are there in any case.
    #[arg(long, requires = "train", help_heading = "Log-likelihood", hide_short_help = true)]
    bandwidth: Option<f64>,
    /// Compare generated windows and their latent vectors with those of normal data instead, by each source that the model has.
    ///
    /// By the squared maximum mean discrepancy, beside its standard deviation by chance: prior, aggregated posterior and second stage, and N(0, I) where
    /// the prior is a learned one.
    #[arg(long, help_heading = "Generation", group = "estimates")]
    generation: bool,
    /// With --generation: compare with the aggregated posterior itself, too, by the posteriors that the model's run keeps (fit --posteriors).
    #[arg(long, requires = "generation", help_heading = "Generation", hide_short_help = true)]
    run: Option<PathBuf>,
    /// With --likelihood or --generation: use at most this many windows, evenly spaced over the file.
    #[arg(long, requires = "estimates", help_heading = "Log-likelihood", hide_short_help = true, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..))]
    windows: u32,
    /// With --likelihood or --generation: turn grey values into zeros and ones first, by the seed.
    #[arg(long, requires = "estimates", help_heading = "Log-likelihood", hide_short_help = true)]
    binarise: bool,
}

/// Estimates of the mean log-likelihood, and whose they are.
#[derive(Debug, Serialize)]
struct Explained {
    model: PathBuf,
    #[serde(flatten)]
    report: LogLikelihoods,
}

impl Evaluate {
    fn explain(&self, context: Context) -> Result<()> {
        let file = AlignedFile::read(&self.input.model)?;
        let model = file.model()?;
        let seed = context.seed.unwrap_or(0);
        let (windows, left_out) =
            read_for_model(&self.input.data, self.input.label.as_deref().into(), &self.input.reading, &model)?;
        left_out.iter().for_each(|message| note(message));
        let step = windows.len().div_ceil(self.windows as usize);
        let mut chosen: Vec<f32> = windows.iter().step_by(step).flatten().copied().collect();
        if self.binarise {
            chosen = binarise(chosen.into_iter(), &mut ChaCha8Rng::seed_from_u64(seed));
        }
        let mut report = log_likelihoods(&model, &chosen, seed).with_context(|| quoted_paths(&self.input.data))?;
        if let Some(train) = &self.train {
            ensure!(
                train.as_os_str() != "-" || !self.input.data.contains(train),
                "standard input is read once: give a file for the data or for --train"
            );
            ensure!(
                model.conditions() == 0,
                "--train is for models without conditions, as its estimates know no conditions: leave it out"
            );
            let (rows, _) = read_for_model(
                slice::from_ref(train),
                self.input.label.as_deref().into(),
                &self.input.reading,
                &model,
            )?;
            report.compare(&chosen, &rows, self.bandwidth).with_context(|| train.display().to_string())?;
        }
        let text = estimates(&report);
        context.print(&Explained { model: self.input.model.clone(), report }, &text)
    }
}

/// All estimates, a line each.
fn estimates(report: &LogLikelihoods) -> String {
    let mut text = format!("mean log-likelihood of {} windows, in nats\n\n", report.windows);
    let mut line = |name: &str, e: &Estimate| {
        text += &format!("{name:<38}{:>12.4} ± {:.4}\n", e.mean, e.standard_error);
    };
    line(&format!("ELBO, K = {MOST_SAMPLES}"), &report.elbo_sampled);
    // A learned prior has no KL in closed form.
    let of_bound = if report.prior_components > 0 { "bound of the ELBO" } else { "ELBO, KL in closed form" };
    line(&format!("{of_bound}, K = {ELBO_SAMPLES}"), &report.elbo);
    for (samples, estimate) in &report.importance_weighted {
        line(&format!("importance-weighted, K = {samples}"), estimate);
    }
    for (samples, estimate) in &report.prior_proposal {
        line(&format!("samples of the prior, K = {samples}"), estimate);
    }
    if let Some(gaussian) = &report.gaussian {
        line("Gaussian, maximum likelihood", gaussian);
    }
    let kernels = [
        ("Scott's", &report.kernel_density),
        ("likeliest", &report.kernel_density_left_out),
        ("given", &report.kernel_density_given),
    ];
    for (rule, found) in kernels {
        if let Some(KernelEstimate { estimate, bandwidth }) = found {
            line(&format!("kernel density, {rule} h = {bandwidth:.4}"), estimate);
        }
    }
    line("KL(q(z|x) ‖ p(z))", &report.kl_sampled);
    let of_bound = if report.prior_components > 0 { "upper bound of it" } else { "the same in closed form" };
    line(of_bound, &report.kl);
    line("KL(q(z|x) ‖ p(z|x))", &report.gap);
    text + &format!("{:<38}{:>12} of {}", "active units", report.active_units, report.latent)
}

/// What was judged, and how.
#[derive(Debug, Serialize)]
struct Evaluated {
    model: PathBuf,
    #[serde(flatten)]
    evaluation: Evaluation,
    /// What it comes to.
    verdict: Fitness,
}

impl Evaluate {
    pub(super) fn run(self, context: Context) -> Result<()> {
        if self.likelihood {
            return self.explain(context);
        }
        if self.generation {
            return self.generate(context);
        }
        let label = match self.input.reading.label_intervals {
            Some(_) => Label::None,
            None => Label::Column(self.input.label.as_deref().unwrap_or(LABEL)),
        };
        let evaluation = evaluate(&self.input.model, &self.input.data, label, &self.input.reading)?;
        let Evaluation { detection, baseline_independent_gaussians: baseline, .. } = &evaluation;
        let mut text = format!("{} windows, {} of them anomalies\n\n", detection.windows, detection.anomalies);
        text += &format!("{:<28}{:>9}{:>16}\n", "", "model", "independent");
        text += &format!("{:<28}{:>9}{:>16}\n", "", "", "Gaussians");
        let rows = [
            ("AUROC", detection.auroc, baseline.auroc),
            ("average precision", detection.average_precision, baseline.average_precision),
            ("partial AUROC (FPR ≤ 0.1)", detection.partial_auroc, baseline.partial_auroc),
            ("best F1", detection.best_f1, baseline.best_f1),
        ];
        for (name, model, baseline) in rows {
            text += &format!("{name:<28}{model:>9.4}{baseline:>16.4}\n");
        }
        if evaluation.is_beaten_by_limits() {
            text += "\nlimits on each column alone find these anomalies better than the model does: a smaller --latent, a --window for \
                 a series, or more data may help\n";
        }
        text += &format!(
            "\nat the model's threshold of {:.3} nats: false-alarm rate {:.4}, detection rate {:.4}",
            evaluation.threshold, evaluation.false_alarm_rate, evaluation.detection_rate
        );
        text += &detector_lines(&evaluation);
        let verdict = Fitness::of_evaluation(&evaluation);
        text += &format!("\n\nverdict      {}", verdict.lines());
        context.print(&Evaluated { model: self.input.model, evaluation, verdict }, &text)
    }
}

/// The detector's alarms, in lines.
fn detector_lines(evaluation: &Evaluation) -> String {
    let Evaluation { events, verdicts, .. } = evaluation;
    let optional =
        |value: Option<f64>, unit: &str| value.map_or("none".to_owned(), |value| format!("{value:.4}{unit}"));
    let delay = match events.mean_delay_seconds {
        Some(seconds) => optional(Some(seconds), " s"),
        None => optional(events.mean_delay, " rows"),
    };
    let false_alarms = match events.false_alarms_per_hour {
        Some(rate) => format!("{rate:.3} an hour"),
        None => optional(events.false_alarms_per_1000_windows, " per 1000 normal windows"),
    };
    let sensor = match evaluation.event_outcomes.iter().filter(|outcome| outcome.fate == Fate::SensorFault).count() {
        0 => String::new(),
        some => format!("; {some} reported as a sensor's fault"),
    };
    let outside = |share: Option<f64>| share.map_or("none".to_owned(), percent);
    format!(
        "\n\nthe detector, on the rows as a stream:\n  events       {} of {} detected, mean delay {delay}{sensor}\n  alarms       {} \
         raised, {} of them outside events: {false_alarms}\n  windows      precision {}, recall {}, F1 {}\n  verdicts     {} normal, {} \
         anomalous, {} with a sensor's fault, {} drifting\n  outside      the alarm was on in {} of the windows outside events; {} of \
         those windows are called drifting{}",
        events.detected,
        events.events.len(),
        events.alarms,
        events.false_alarms,
        optional(events.precision, ""),
        optional(events.recall, ""),
        optional(events.f1, ""),
        verdicts.normal,
        verdicts.anomalous,
        verdicts.sensor_fault,
        verdicts.drifting,
        outside(events.normal_alarm_share),
        outside(evaluation.drifting_outside_events()),
        if evaluation.is_of_stream() { list(evaluation) } else { String::new() }
    )
}

/// The events, one a line.
fn list(evaluation: &Evaluation) -> String {
    let Evaluation { events, event_outcomes, rows_per_second, .. } = evaluation;
    let time = |rows: Option<usize>| match (rows, rows_per_second) {
        (None, _) => "never".to_owned(),
        (Some(rows), Some(rate)) => format!("{:.2} s", rows as f64 / rate),
        (Some(rows), None) => format!("{rows} rows"),
    };
    let line = |cells: [String; 6]| {
        let [rows, on, raised, delay, clear, verdict] = cells;
        format!("\n  {rows:<22}{on:>9}{raised:>8}{delay:>13}{clear:>13}  {verdict}")
    };
    let head = ["event (rows)", "alarm on", "raised", "first after", "off after", "verdict"].map(str::to_owned);
    let mut text = format!("\n{}", line(head));
    for (event, outcome) in events.events.iter().zip(event_outcomes).take(MOST_EVENTS) {
        text += &line([
            format!("{} to {}", event.first_row, event.last_row),
            event.alarm_share.map_or("none".to_owned(), percent),
            event.raised.to_string(),
            time(event.delay),
            time(event.clear),
            outcome.fate.words().to_owned(),
        ]);
    }
    if let Some(more @ 1..) = events.events.len().checked_sub(MOST_EVENTS) {
        text += &format!("\n  and {more} more events (--json lists them)");
    }
    text
}

/// Reads, judges and scores some rows at a time, so that the memory grows with the events only.
fn evaluate(model: &Path, data: &[PathBuf], label: Label<'_>, reading: &Reading) -> Result<Evaluation> {
    let file = AlignedFile::read(model)?;
    let model = file.model()?;
    let (mut buffer, mut memory, directory) = (Box::new(Buffer::new()), Memory::of(&model), scratch_directory());
    let mut stretches = Stretches::open(data, label, reading, model, &mut buffer)?;
    let mut detecting = Detecting::new(model, &mut memory)?;
    let mut evaluating = Evaluating::new(model, &directory)?;
    let (mut watch, mut windows) = (progress::reading(&data[0]), 0);
    loop {
        let stretch = stretches.next(&mut watch)?;
        stretches.take_notes().iter().for_each(|message| note(message));
        let Some(Stretch { table, begins, file, first_row, windows: own, .. }) = stretch else { break };
        let (judged, scores) = rayon::join(
            || detecting.judge(&table, begins, first_row),
            || of_device_from(windows, &model, &own.values).with_context(|| file.display().to_string()),
        );
        // The detector names the row of what neither can take.
        let (judged, scores) = (judged?, scores?);
        windows += scores.len();
        let rows = LabelledRows { labels: table.labels.as_deref(), starts: &table.starts, begins };
        evaluating.add(rows, &own, &scores, &judged).with_context(|| file.display().to_string())?;
    }
    evaluating.end().with_context(|| stretches.name().display().to_string())
}
