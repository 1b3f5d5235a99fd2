//! What a model considers normal: from normal data to the calibration that its file holds.

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use vae_core::{ChannelCalibration, MOST_VOTES, Model, ScoreKind, Tail as CoreTail, Votes};

use crate::{
    dataset::cut_for_model,
    false_alarms::FalseAlarms,
    metrics::quantile,
    model_file::{AlignedFile, Calibration, ModelFile},
    scoring,
    table::{Table, list},
    tail::Tail,
    tail_fit::TailFit,
};

/// Quantiles of the normal scores that a model file holds.
const QUANTILES: usize = 129;

/// Windows that channels' ordinary costs are averaged over, at most.
const MOST_ATTRIBUTED: usize = 2000;

/// Drift is averaged over so many times fewer windows than were recorded, so that its ordinary extent can be told from the recording.
const MEMORIES: f64 = 50.0;
/// Fewest and most windows that drift is averaged over.
const MEMORY: (f64, f64) = (16.0, 4096.0);

/// False reports of drift per window, where no rate of alarms is asked for.
const DRIFT_RATE: f64 = 1e-6;

/// Standard errors by which an estimated deviation is taken to be larger than it was found.
const CAUTION: f64 = 1.645;

/// How normal data are to be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// False alarms per second that are borne; none: the threshold is a quantile of the scores.
    pub alarms: Option<f64>,
    /// (m, n): m of the last n windows raise an alarm.
    pub votes: (u32, u32),
    /// Samples a second; none where it is not known.
    pub sample_rate: Option<f64>,
    /// 0: the ELBO at the mean; L > 0: by L samples; −K < 0: the importance-weighted log-likelihood by K samples.
    pub samples: i32,
    /// Least and largest value of a channel's sensor, by the channel's name.
    pub ranges: Vec<(String, f32, f32)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { alarms: None, votes: (1, 1), sample_rate: None, samples: 0, ranges: Vec::new() }
    }
}

impl Settings {
    fn score_kind(&self) -> ScoreKind {
        match self.samples {
            0 => ScoreKind::AtMean,
            samples @ 1.. => ScoreKind::Samples(samples.unsigned_abs()),
            samples => ScoreKind::Importance(samples.unsigned_abs()),
        }
    }
}

/// Normal data in the order of time, and how they are to be judged.
#[derive(Clone, Debug)]
pub struct Normal {
    /// The model's channels and conditions.
    pub table: Table,
    /// What is asked for.
    pub settings: Settings,
}

/// A calibration, and what it is worth.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Normal windows.
    pub windows: usize,
    /// Windows left out: labelled anomalous, or with values that were not observed.
    pub left_out: usize,
    /// Windows a second.
    pub windows_per_second: Option<f64>,
    /// ELBO (or log-likelihood) below which a window is anomalous, in nats.
    pub threshold: f32,
    /// Alarms per second that were asked for, and the 90 % confidence interval of those that the threshold gives.
    pub alarms: Option<(f64, (f64, f64))>,
    /// Windows between false reports of drift, on average.
    pub drift_run_length: f64,
    /// Windows that drift is averaged over.
    pub drift_memory: f64,
    /// Why the data do not support the rate of alarms, and what would; none where they do.
    pub refusal: Option<String>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Of the normal windows, in the order of time.
    #[serde(skip)]
    pub scores: Vec<f32>,
    /// How often they raise an alarm at any threshold; none where they are too few to tell.
    #[serde(skip)]
    pub false_alarms: Option<FalseAlarms>,
}

/// The calibration of a model without one on windows whose order is not known: quantiles and their tail. The
/// threshold is the quantile at `false_alarms`.
///
/// # Errors
/// If a window cannot be scored.
pub fn of_windows(file: &ModelFile, windows: &[f32], false_alarms: f64) -> Result<Calibration> {
    let bytes = AlignedFile::new(&file.to_bytes()?);
    let model = bytes.model()?;
    let scores = scoring::elbo(&model, windows).context("the held-out windows cannot be scored")?;
    let scores: Vec<f32> = scores.iter().map(|score| score.elbo).collect();
    Ok(of_scores(&scores, false_alarms))
}

/// Quantiles, tail, location and scale of scores, and the quantile at `false_alarms` as the threshold.
fn of_scores(scores: &[f32], false_alarms: f64) -> Calibration {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    let n = scores.len() as f64;
    let centre = scores.iter().map(|score| -f64::from(*score)).sum::<f64>() / n;
    let spread = (scores.iter().map(|score| (-f64::from(*score) - centre).powi(2)).sum::<f64>() / n).sqrt();
    // Too few windows have no tail: p-values then end at 1 / (n + 1).
    let ascending: Vec<f64> = sorted.iter().rev().map(|score| -f64::from(*score)).collect();
    let tail = TailFit::of(&ascending).map_or(CoreTail::default(), |fit| to_core(&fit.tail));
    Calibration {
        quantiles: (0..QUANTILES).map(|k| quantile(&sorted, k as f64 / (QUANTILES - 1) as f64)).collect(),
        scores: scores.len(),
        threshold: quantile(&sorted, false_alarms),
        tail,
        location_and_scale: (centre as f32, (spread as f32).max(f32::MIN_POSITIVE)),
        ..Calibration::default()
    }
}

fn negated(scores: &[f32]) -> Vec<f64> {
    scores.iter().map(|score| -f64::from(*score)).collect()
}

fn to_core(tail: &Tail) -> CoreTail {
    let [start, rate, scale, shape, base] =
        [tail.threshold, tail.rate, tail.scale, tail.shape, tail.base].map(|value| value as f32);
    CoreTail { start, rate, scale, shape, base }
}

/// The calibration of a model on normal data in the order of time; `false_alarms` as for [`of_windows`], where no rate of alarms is
/// asked for.
///
/// # Errors
/// If the data cannot be scored, or do not support the rate of alarms: says what would.
pub fn calibrate(file: &ModelFile, normal: &Normal, false_alarms: f64) -> Result<(Calibration, Report)> {
    let Normal { table, settings } = normal;
    let bytes = AlignedFile::new(&file.to_bytes()?);
    let model = bytes.model()?;
    let name = table.path.display().to_string();
    let windows = cut_for_model(table.clone(), &model)?;
    let is_normal = |index: usize, x: &[f32]| {
        windows.labels.as_ref().is_none_or(|labels| !labels[index]) && !x.iter().any(|value| value.is_nan())
    };
    let chosen = windows.iter().enumerate().filter(|(index, x)| is_normal(*index, x));
    let values: Vec<f32> = chosen.flat_map(|(_, x)| x).copied().collect();
    let width = model.features() + model.conditions();
    let count = values.len() / width;
    ensure!(count > 0, "{name}: no normal window is complete");
    let scores = scoring::by_kind(&model, &values, settings.score_kind(), None).with_context(|| name.clone())?;

    let mut notes = Vec::new();
    let mut calibration = of_scores(&scores, false_alarms);
    calibration.votes = settings.votes;
    calibration.score_kind = settings.score_kind();
    calibration.sample_rate = settings.sample_rate.unwrap_or(0.0) as f32;
    let windows_per_second = settings.sample_rate.map(|rate| rate / model.hop() as f64);
    let (needed, of) = settings.votes;
    let votes = Votes::new(needed, of).with_context(|| format!("{needed} of {of} votes: 1 ≤ m ≤ n ≤ {MOST_VOTES}"))?;
    let false_alarms_of_votes = FalseAlarms::of(&negated(&scores), votes);
    if let Ok(found) = &false_alarms_of_votes {
        calibration.alarms = to_core(&found.alarms());
    }
    let (mut alarms, mut refusal) = (None, None);
    let known = false_alarms_of_votes.as_ref().ok().copied();
    match (settings.alarms, false_alarms_of_votes) {
        (None, Ok(_)) => {}
        (None, Err(error)) => {
            notes.push(format!("{name}: no tail of alarms, so that the device cannot set a rate of them: {error:#}"));
        }
        (Some(asked), found) => {
            // Without a tail nothing is known of any rate, so that there is nothing to force.
            let found = found.map_err(|error| {
                anyhow!(
                    "{name}: {error:#}; record longer, fit with a shorter --hop, or leave --alarms out, for a threshold that is a quantile \
                     of the scores"
                )
            })?;
            let Some(windows_per_second) = windows_per_second else {
                bail!("alarms per time need the sample rate: give --rate, in samples (rows) a second");
            };
            let per_window = asked / windows_per_second;
            let support = found.support(per_window, windows_per_second).with_context(|| name.clone());
            calibration.threshold = -found.alarms().level(per_window) as f32;
            if !calibration.threshold.is_finite() {
                // More alarms than the tail has windows are not in it, which --force cannot change.
                return Err(support
                    .err()
                    .unwrap_or_else(|| anyhow!("{name}: the tail of alarms has no level for them")));
            }
            let (low, high) = found.interval(per_window);
            alarms = Some((asked, (low * windows_per_second, high * windows_per_second)));
            refusal = support.err().map(|error| format!("{error:#}"));
        }
    }

    // Where the device can stop early, its scores are lower: the bound rises with the samples. Near a threshold, in the tails, it cannot.
    let own_scores = match calibration.score_kind {
        ScoreKind::Importance(_) => {
            let own = scoring::by_kind(&model, &values, calibration.score_kind, Some(calibration.threshold))?;
            let Calibration { quantiles, location_and_scale, .. } = of_scores(&own, false_alarms);
            calibration = Calibration { quantiles, location_and_scale, ..calibration };
            own
        }
        ScoreKind::AtMean | ScoreKind::Samples(_) => scores.clone(),
    };

    let memory = (count as f64 / MEMORIES).clamp(MEMORY.0, MEMORY.1);
    let statistics = 1 + 2 * model.channels();
    let drift_rate = settings.alarms.zip(windows_per_second).map_or(DRIFT_RATE, |(alarms, rate)| alarms / rate);
    let reach = exit_distance(statistics as f64 / drift_rate / memory);
    let limit =
        |series: &[f64], target: f64| (reach * ewma_deviation(series, target, memory)).min(f32::MAX.into()) as f32;
    calibration.drift_memory = memory as f32;
    // Of the calibration itself, so that the model's own p-values are meant.
    let with_quantiles = ModelFile { calibration: calibration.clone(), ..file.clone() };
    let bytes = AlignedFile::new(&with_quantiles.to_bytes()?);
    let judged = bytes.model()?.calibration()?;
    let p_values: Vec<f64> = own_scores.iter().map(|score| f64::from(judged.p_value(*score))).collect();
    calibration.drift_limit = limit(&p_values, 0.5);

    let nats = channel_nats(&model, &values)?;
    let card = model.card()?;
    let names: Vec<&str> = card.channels.lines().collect();
    for (range, ..) in &settings.ranges {
        ensure!(
            names.contains(&range.as_str()),
            "--range: there is no channel `{range}`; the model's are {}",
            list(&names)
        );
    }
    let columns = table.columns.len();
    // What an anomaly does to a sensor is not what is normal of it.
    let is_normal_row = |row: usize| table.labels.as_ref().is_none_or(|labels| !labels[row]);
    let samples = || {
        let rows = table.values.chunks_exact(columns).enumerate();
        rows.filter(|(row, _)| is_normal_row(*row)).map(|(_, sample)| sample)
    };
    let moments = moments(samples(), model.channels());
    for (channel, ((nats, (mean, power)), name)) in nats.into_iter().zip(moments).zip(&names).enumerate() {
        let series: Vec<f32> = samples().map(|sample| sample[channel]).collect();
        let (longest_run, longest_gap) = runs(&series);
        let range = settings.ranges.iter().find(|(range, ..)| range == name);
        let range = range.map_or((f32::MIN, f32::MAX), |(_, low, high)| (*low, *high));
        if let Some(value) = series.iter().find(|value| **value < range.0 || **value > range.1) {
            bail!(
                "{}: channel `{name}` is {value} in normal data, outside its --range {} to {}",
                table.path.display(),
                range.0,
                range.1
            );
        }
        // A channel that does not vary, or whose square is beyond f32, has no drift but what the scores show.
        let varies = (f32::MIN_POSITIVE..f32::MAX).contains(&(power as f32));
        let hops = |of: &dyn Fn(f64) -> f64| -> Vec<f64> {
            let observed = |hop: &[f32]| {
                let seen: Vec<f64> = hop.iter().filter(|v| !v.is_nan()).map(|v| of(f64::from(*v) - mean)).collect();
                (!seen.is_empty()).then(|| seen.iter().sum::<f64>() / seen.len() as f64)
            };
            series.chunks(model.hop()).filter_map(observed).collect()
        };
        let (shifts, powers) = (hops(&|distance| distance), hops(&|distance| distance * distance / power));
        calibration.channels.push(ChannelCalibration {
            range,
            longest_run: longest_run as f32,
            longest_gap: longest_gap as f32,
            nats: nats as f32,
            mean: mean as f32,
            mean_limit: if varies { limit(&shifts, 0.0) } else { f32::MAX },
            power: if varies { power as f32 } else { 1.0 },
            power_limit: if varies { limit(&powers, 1.0) } else { f32::MAX },
        });
    }
    let report = Report {
        windows: count,
        left_out: windows.len() - count,
        windows_per_second,
        threshold: calibration.threshold,
        alarms,
        drift_run_length: 1.0 / drift_rate,
        drift_memory: memory,
        refusal,
        notes,
        scores,
        false_alarms: known,
    };
    Ok((calibration, report))
}

/// What each channel's features cost in a window, on average.
fn channel_nats(model: &Model<'_>, windows: &[f32]) -> Result<Vec<f64>> {
    let width = model.features() + model.conditions();
    let step = (windows.len() / width).div_ceil(MOST_ATTRIBUTED).max(1);
    let some: Vec<f32> = windows.chunks_exact(width).step_by(step).flatten().copied().collect();
    let costs = scoring::for_each_window(model, &some, |_, model, x, scratch| {
        let mut nats = vec![0.0; model.channels()];
        model.attribute(x, scratch, &mut |feature, cost| nats[model.channel_of(feature)] += f64::from(cost))?;
        Ok(nats)
    })?;
    let mean = |channel: usize| costs.iter().map(|nats| nats[channel]).sum::<f64>() / costs.len() as f64;
    Ok((0..model.channels()).map(mean).collect())
}

/// Mean of each channel, and mean square of the distance from it; a sample begins with its channels.
fn moments<'s>(samples: impl Iterator<Item = &'s [f32]> + Clone, channels: usize) -> Vec<(f64, f64)> {
    let average = |channel: usize, of: &dyn Fn(f64) -> f64| {
        let values = samples.clone().map(|sample| sample[channel]).filter(|value| !value.is_nan());
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + of(f64::from(value)), count + 1.0));
        sum / f64::max(count, 1.0)
    };
    let moments = (0..channels).map(|channel| {
        let mean = average(channel, &|value| value);
        (mean, average(channel, &|value| (value - mean).powi(2)))
    });
    moments.collect()
}

/// The longest run of one value, and of none.
fn runs(series: &[f32]) -> (usize, usize) {
    let longest = |missing: bool| {
        let runs = series.chunk_by(|a, b| a == b || (a.is_nan() && b.is_nan()));
        runs.filter(|run| run[0].is_nan() == missing).map(<[f32]>::len).max().unwrap_or(0)
    };
    (longest(false), longest(true))
}

/// Standard deviation about `target` of a series' exponentially weighted mean, with a caution that few memories in it ask for; infinite
/// where the series is too short to say.
fn ewma_deviation(series: &[f64], target: f64, memory: f64) -> f64 {
    let mut mean = target;
    let path = series.iter().map(|value| {
        mean += (value - mean) / memory;
        mean
    });
    // From where the start is forgotten.
    let settled: Vec<f64> = path.skip((2.0 * memory) as usize).collect();
    if settled.is_empty() {
        return f64::INFINITY;
    }
    let squares = settled.iter().map(|mean| (mean - target).powi(2)).sum::<f64>() / settled.len() as f64;
    let independent = (settled.len() as f64 / (2.0 * memory)).max(1.0);
    squares.sqrt() * (1.0 + CAUTION / (2.0 * independent).sqrt())
}

/// The distance from its mean, in its own standard deviations, that an exponentially weighted mean first reaches after `memories` times
/// its memory on average: of the process in continuous time, `∫₀ᵏ exp(y²/2) ∫₀ʸ exp(−z²/2) dz dy = memories`. One in steps takes
/// longer.
///
/// # Source
/// Darling & Siegert (1953), *The first passage problem for a continuous Markov process*, section 6 (Ornstein–Uhlenbeck).
fn exit_distance(memories: f64) -> f64 {
    const STEP: f64 = 1e-3;
    let (mut k, mut inner, mut passage) = (0.0f64, 0.0, 0.0);
    while passage < memories && k < 20.0 {
        let middle = k + 0.5 * STEP;
        inner += STEP * (-0.5 * middle * middle).exp();
        k += STEP;
        passage += STEP * (0.5 * middle * middle).exp() * inner;
    }
    k
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn drift_is_reported_falsely_no_more_often_than_stated() {
        // By scipy: quad(lambda y: exp(y*y/2) * sqrt(pi/2) * erf(y/sqrt(2)), 0, k)[0] for k = 1, 2.5, 5.
        for (k, memories) in [(1.0, 0.595_749), (2.5, 12.698), (5.0, 70_369.4)] {
            assert!((exit_distance(memories) - k).abs() < 2e-3, "{k}: {}", exit_distance(memories));
        }
        // Uniform p-values, averaged over 64: the average's variance is 1/12 · 1/(2 · 64 − 1).
        let (mut rng, memory) = (ChaCha8Rng::seed_from_u64(1), 64.0);
        let limit = exit_distance(20.0) * (1.0f64 / 12.0 / (2.0 * memory - 1.0)).sqrt();
        let mut length = || {
            let (mut mean, mut windows) = (0.5f64, 0.0);
            while (mean - 0.5).abs() <= limit {
                mean += (rng.random::<f64>() - mean) / memory;
                windows += 1.0;
            }
            windows
        };
        let mean = (0..2000).map(|_| length()).sum::<f64>() / 2000.0;
        // Stated are 20 memories. Run lengths are about exponential: a standard error of 2 %. In steps, the average may leave its limits
        // and come back unseen, which makes it some more.
        assert!((1.0..1.4).contains(&(mean / (20.0 * memory))), "{}", mean / memory);
    }

    #[test]
    fn an_averages_deviation_is_that_of_its_recording() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let series: Vec<f64> = (0..100_000).map(|_| rng.random::<f64>()).collect();
        let expected = (1.0f64 / 12.0 / (2.0 * 50.0 - 1.0)).sqrt();
        // A thousand independent averages: 2 % of standard error, and a caution of 3.7 %.
        let found = ewma_deviation(&series, 0.5, 50.0) / expected;
        assert!((0.98..1.11).contains(&found), "{found}");
        assert_eq!(ewma_deviation(&series[..100], 0.5, 50.0), f64::INFINITY);
    }

    #[test]
    fn the_longest_runs_of_a_value_and_of_none() {
        let nan = f32::NAN;
        assert_eq!(runs(&[1.0, 1.0, 2.0, nan, nan, nan, 2.0, 2.0]), (2, 3));
        assert_eq!(runs(&[nan]), (0, 1));
        assert_eq!(runs(&[]), (0, 0));
    }
}
