//! How far the rows of a table depend on those before them, and which window would show it.

use std::ops::Range;

use anyhow::Result;
use rayon::prelude::*;
use serde::Serialize;

use crate::{
    inspection::{
        proposal::{Shape, window},
        stretches::stretches,
    },
    tables::{long_table::LongTable, table::Table},
};

/// Most columns that are looked at, evenly spaced.
const MOST_COLUMNS: usize = 32;
/// Largest lag, in rows.
const MOST_LAGS: usize = 1024;
/// A lag is judged by stretches at least so many times as long.
const STRETCHES_PER_LAG: usize = 4;
/// The same where there are as many stretches as that.
const SEVERAL_PER_LAG: usize = 2;

/// Fewest rows that say anything.
const LEAST_ROWS: usize = 40;
/// Rows depend on each other if they do on one of so many before them: whatever is sampled as it should be does, and the more
/// lags are looked at, the likelier two outliers meet.
const NEAR: usize = 16;
/// Least autocorrelation that a window is proposed for: less explains under a tenth of the variance.
const LEAST_CORRELATION: f64 = 0.3;
/// Chance that independent rows are taken for dependent ones.
const CHANCE: f64 = 0.001;
/// Standard deviations by which a peak must rise above chance.
const PEAK_DEVIATIONS: f64 = 3.0;
/// A peak counts as the strongest period if it rises at least so far as a share of the highest: the multiples of a period rise
/// as far as the period itself.
const NEARLY: f64 = 0.8;

/// The window that the data ask for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suggestion {
    /// Samples; 1 where rows do not depend on each other.
    pub window: usize,
    /// Samples between the starts of successive windows: half a window.
    pub hop: usize,
    /// Strongest period, in rows.
    pub period: Option<usize>,
    /// Rows after which the autocorrelation has fallen below 1/e; the largest lag where it has not. `None` for rows that do
    /// not depend on each other.
    pub span: Option<usize>,
    /// The autocorrelation of largest magnitude, of any column at lags of up to 16.
    pub strongest: f64,
    /// Lags that were searched for a period, in rows.
    pub lags: usize,
    /// Why, in a sentence.
    pub reason: String,
}

impl Suggestion {
    /// A window for these columns of a table, by its rows that are not labelled anomalies.
    ///
    /// Columns whose autocorrelation stands out of what independent rows show (Bartlett 1946: variance 1/n) are averaged. The
    /// first of the highest peaks of the average is the period, and the window the power of two that holds it; without a peak
    /// the window holds twice the rows after which the correlation has fallen below 1/e.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub fn of(table: &LongTable<'_>, columns: &[usize]) -> Result<Self> {
        let stretches = stretches(table.rows(), table.starts());
        let shortest = stretches.iter().map(Range::len).min().unwrap_or(0);
        let alone = stretches.len() < STRETCHES_PER_LAG;
        let lags = (shortest / if alone { STRETCHES_PER_LAG } else { SEVERAL_PER_LAG }).min(MOST_LAGS);
        let near = lags.min(NEAR);
        let step = columns.len().div_ceil(MOST_COLUMNS).max(1);
        let chosen: Vec<usize> = columns.iter().copied().step_by(step).collect();
        let portions: Vec<Table> = stretches.into_iter().map(|rows| table.read(rows)).collect::<Result<_>>()?;
        let correlations: Vec<_> = chosen
            .par_iter()
            .filter_map(|&column| {
                let series = |portion: &Table| (0..portion.rows()).map(|row| value(portion, row, column)).collect();
                autocorrelation(portions.iter().map(series).collect(), lags)
            })
            .collect();
        let strongest = |correlation: &[f64]| {
            correlation[1..=near].iter().fold(0.0, |s: f64, r| if r.abs() > s.abs() { *r } else { s })
        };
        let most =
            correlations.iter().map(|(r, _)| strongest(r)).fold(0.0, |s: f64, r| if r.abs() > s.abs() { r } else { s });
        let rows = correlations.iter().map(|(_, count)| *count).max().unwrap_or(0);
        let independent =
            |reason: String| Ok(Self { window: 1, hop: 1, period: None, span: None, strongest: most, lags, reason });
        if rows < LEAST_ROWS {
            return independent(format!(
                "{rows} rows are too few to tell whether they depend on each other: {LEAST_ROWS} are needed"
            ));
        }
        // Union bound on the tail of the normal distribution, over lags and columns: P(|r| > z/√n) < 2 exp(−z²/2).
        let tests = 2.0 * (near * chosen.len()) as f64;
        let stands_out = |count: usize| LEAST_CORRELATION.max((2.0 * libm::log(tests / CHANCE) / count as f64).sqrt());
        let serial: Vec<_> = correlations.iter().filter(|(r, count)| strongest(r).abs() > stands_out(*count)).collect();
        if serial.is_empty() {
            return independent(format!(
                "rows do not depend on the {near} before them (largest autocorrelation of a column {most:.2}: chance, or too weak to \
                 be of use)"
            ));
        }
        let mean: Vec<f64> =
            (0..=lags).map(|lag| serial.iter().map(|(r, _)| r[lag]).sum::<f64>() / serial.len() as f64).collect();
        let period = period(&mean, rows);
        let span = mean.iter().position(|r| *r < libm::exp(-1.0)).unwrap_or(lags);
        let (window, reason) = window(period, span, lags, Shape::of(table, columns.len()));
        Ok(Self { window, hop: (window / 2).max(1), period, span: Some(span), strongest: most, lags, reason })
    }
}

/// A value of the table; NaN also where the row is labelled an anomaly.
fn value(table: &Table, row: usize, column: usize) -> f64 {
    match &table.labels {
        Some(labels) if labels[row] => f64::NAN,
        _ => f64::from(table.values[row * table.columns.len() + column]),
    }
}

/// The autocorrelation at lags 0 to `lags` of stretches of one series, each less its own mean, and the number of values; NaN is
/// a missing value, whose pairs are left out. `None` for a series that does not vary.
#[must_use]
pub fn autocorrelation(mut stretches: Vec<Vec<f64>>, lags: usize) -> Option<(Vec<f64>, usize)> {
    let mut present = Vec::with_capacity(stretches.len());
    let (mut count, mut magnitude) = (0, 0.0f64);
    for values in &mut stretches {
        let is_present: Vec<f64> = values.iter().map(|value| f64::from(u8::from(!value.is_nan()))).collect();
        let here = is_present.iter().sum::<f64>();
        let mean = values.iter().filter(|value| !value.is_nan()).sum::<f64>() / here.max(1.0);
        for value in values.iter_mut() {
            magnitude = magnitude.max(value.abs());
            *value = if value.is_nan() { 0.0 } else { *value - mean };
        }
        count += here as usize;
        present.push(is_present);
    }
    let dot = |a: &[f64], lag: usize| -> f64 {
        let (behind, ahead) = (&a[..a.len().saturating_sub(lag)], a.get(lag..).unwrap_or_default());
        behind.iter().zip(ahead).map(|(x, y)| x * y).sum()
    };
    let is_whole = count == stretches.iter().map(Vec::len).sum::<usize>();
    let pairs = |lag| -> f64 {
        let in_stretch = |present: &Vec<f64>| match is_whole {
            true => present.len().saturating_sub(lag) as f64,
            false => dot(present, lag),
        };
        present.iter().map(in_stretch).sum()
    };
    let covariance = |lag| stretches.iter().map(|values| dot(values, lag)).sum::<f64>() / pairs(lag).max(1.0);
    let variance = covariance(0);
    // What is left of a constant is rounding.
    (variance.sqrt() > 1e-9 * magnitude).then(|| ((0..=lags).map(|lag| covariance(lag) / variance).collect(), count))
}

/// The lag of the first of the highest peaks of an autocorrelation that `count` values gave, if any rises above chance.
///
/// A peak is measured from the lowest value before it, so that a slow decay beneath it does not hide it.
fn period(correlation: &[f64], count: usize) -> Option<usize> {
    let (mut low, mut squares) = (f64::INFINITY, 0.0);
    let mut rises = vec![0.0; 2.min(correlation.len())];
    for pair in correlation.windows(2).skip(1) {
        low = f64::min(low, pair[0]);
        squares += pair[0] * pair[0];
        // Bartlett's variance of one value, (1 + 2 Σ r²) / n, twice for the difference of two.
        let chance = PEAK_DEVIATIONS * (2.0 * (1.0 + 2.0 * squares) / count as f64).sqrt();
        let rise = pair[1] - low;
        rises.push(if rise > chance.max(LEAST_CORRELATION) { rise } else { 0.0 });
    }
    let highest = rises.iter().copied().fold(0.0, f64::max);
    if highest == 0.0 {
        return None;
    }
    let first = rises.iter().position(|rise| *rise >= NEARLY * highest)?;
    let end = rises[first..].iter().position(|rise| *rise < NEARLY * highest).map(|length| first + length);
    // A rise that goes on to the largest lag is no whole period.
    let (lag, _) = (first..end?).map(|lag| (lag, rises[lag])).max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(lag)
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use vae_core::standard_normal;

    use super::*;
    use crate::simulator::motor::{Condition, simulate};

    fn table(columns: usize, values: Vec<f32>) -> Table {
        Table {
            path: "t.csv".into(),
            columns: (0..columns).map(|column| format!("c{column}")).collect(),
            values,
            labels: None,
            starts: Vec::new(),
            origins: Vec::new(),
        }
    }

    fn suggestion(columns: usize, values: Vec<f32>) -> Suggestion {
        Suggestion::of(&table(columns, values).into(), &(0..columns).collect::<Vec<_>>()).unwrap()
    }

    fn noise(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| standard_normal(&mut rng)).collect()
    }

    /// x ← φ x + ε
    fn autoregressive(coefficient: f32, count: usize, seed: u64) -> Vec<f32> {
        let mut x = 0.0;
        noise(count, seed)
            .into_iter()
            .map(|noise| {
                x = coefficient * x + noise;
                x
            })
            .collect()
    }

    #[test]
    fn autocorrelation_is_the_sum_of_its_definition() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i * 7919 % 61)).collect();
        let mean = values.iter().sum::<f64>() / 50.0;
        let covariance = |lag: usize| {
            (0..50 - lag).map(|i| (values[i] - mean) * (values[i + lag] - mean)).sum::<f64>() / (50 - lag) as f64
        };
        let (found, count) = autocorrelation(vec![values.clone()], 12).unwrap();
        assert_eq!((found.len(), count, found[0]), (13, 50, 1.0));
        for (lag, found) in found.iter().enumerate() {
            assert!((found - covariance(lag) / covariance(0)).abs() < 1e-12, "lag {lag}: {found}");
        }
        assert!(autocorrelation(vec![vec![0.1; 50]], 12).is_none(), "a constant has none");
        assert!(autocorrelation(vec![vec![f64::NAN; 50]], 12).is_none());
    }

    #[test]
    fn autocorrelation_of_an_autoregressive_series_is_a_power_though_values_are_missing() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let series: Vec<f64> = autoregressive(0.8, 60_000, 1)
            .into_iter()
            .map(|x| if rng.random_range(0..5) == 0 { f64::NAN } else { f64::from(x) })
            .collect();
        let stretches = series.chunks(20_000).map(<[f64]>::to_vec).collect();
        let (found, count) = autocorrelation(stretches, 20).unwrap();
        assert!((count as f64 - 48_000.0).abs() < 500.0);
        for (lag, found) in found.iter().enumerate() {
            // Bartlett: at most √((1 + φ²) / (1 − φ²) / n) = 0.01, four times.
            assert!((found - 0.8f64.powi(lag as i32)).abs() < 0.04, "lag {lag}: {found}");
        }
    }

    #[test]
    fn a_period_asks_for_the_power_of_two_that_holds_it() {
        for (period, expected) in [(41.0, 64), (5.0, 8), (64.0, 64), (100.3, 128)] {
            for (rows, seed) in [(2000, 1), (9000, 2), (40_000, 3)] {
                let values = noise(rows, seed)
                    .into_iter()
                    .enumerate()
                    .map(|(i, noise)| (TAU * i as f64 / period).sin() as f32 + 0.5 * noise)
                    .collect();
                let found = suggestion(1, values);
                let away = (found.period.unwrap() as f64 - period).abs();
                assert!(away <= 1.0 + 0.02 * period && found.window == expected, "{period} in {rows}: {found:?}");
                assert_eq!(found.hop, expected / 2);
            }
        }
    }

    #[test]
    fn a_period_is_found_on_a_slow_drift_and_among_columns_of_noise() {
        let mut drift = 0.0;
        let wander = noise(9000, 4);
        let others = noise(5 * 9000, 5);
        let values = others.chunks(5).zip(wander).enumerate().flat_map(|(i, (noise, step))| {
            drift += 0.015 * step;
            [noise[0], (TAU * i as f64 / 41.0).sin() as f32 + 0.3 * noise[1] + drift, noise[2], noise[3], noise[4]]
        });
        let found = suggestion(5, values.collect());
        assert!((40..=42).contains(&found.period.unwrap()) && found.window == 64, "{found:?}");
        assert!(found.reason.contains("64 holds 1.6 of them"), "{}", found.reason);
    }

    #[test]
    fn independent_rows_ask_for_no_window() {
        // 20 columns at a time: one in a thousand such tables may be mistaken.
        for (rows, seed) in [(60, 1), (400, 2), (3000, 3), (30_000, 4)] {
            let found = suggestion(20, noise(20 * rows, seed));
            assert_eq!((found.window, found.hop, found.span), (1, 1, None), "{found:?}");
        }
        assert!(suggestion(2, noise(30, 5)).reason.contains("15 rows are too few"));
        let constant = suggestion(1, vec![4.0; 500]);
        assert_eq!(constant.window, 1, "{constant:?}");
    }

    #[test]
    fn an_autoregressive_series_asks_for_its_span() {
        for (coefficient, span, window) in [(0.9f32, 10, 32), (0.97, 33, 128), (0.5, 2, 8)] {
            let found = suggestion(1, autoregressive(coefficient, 40_000, 6));
            // φᵏ < 1/e from k = −1 / ln φ on; the estimate of a span scatters by some tenths of it.
            let away = found.span.unwrap().abs_diff(span);
            assert!(found.period.is_none() && away <= 1 + span / 3, "{coefficient}: {found:?}");
            assert!(found.window == window || (coefficient == 0.97 && found.window == 64), "{coefficient}: {found:?}");
        }
    }

    #[test]
    fn anomalies_do_not_count() {
        let mut table = table(1, noise(2000, 7));
        // A loud tone in the labelled rows only.
        let labels: Vec<bool> = (0..2000).map(|row| (1000..1500).contains(&row)).collect();
        for (row, value) in table.values.iter_mut().enumerate().filter(|(row, _)| labels[*row]) {
            *value += 9.0 * (row as f32 / 5.0).sin();
        }
        assert_ne!(Suggestion::of(&(&table).into(), &[0]).unwrap().window, 1);
        table.labels = Some(labels);
        assert_eq!(Suggestion::of(&(&table).into(), &[0]).unwrap().window, 1);
    }

    #[test]
    fn the_motor_asks_for_the_window_of_the_demonstration() {
        for seed in 0..4 {
            let found = suggestion(3, simulate(Condition::Normal, 40.0, seed).into_flattened());
            // 20 to 45 turns a second at 1600 Hz are 36 to 80 samples.
            assert!((36..=80).contains(&found.period.unwrap()), "{found:?}");
            assert!(found.window == 64 || found.period.unwrap() > 64, "{found:?}");
        }
    }

    #[test]
    fn recordings_that_are_joined_ask_for_a_window_that_each_holds() {
        // Tones of 100 samples, in pieces of 150 rows at levels of their own: what is between two of them is no rhythm.
        let levels = noise(200, 8);
        let tone = |i: usize| 5.0 * levels[i / 150] + (TAU * (i % 150) as f64 / 100.0).sin() as f32;
        let mut joined =
            table(1, (0..30_000).map(tone).zip(noise(30_000, 9)).map(|(x, noise)| x + 0.3 * noise).collect());
        joined.starts = (1..200).map(|piece| 150 * piece).collect();
        let found = Suggestion::of(&(&joined).into(), &[0]).unwrap();
        assert!(found.window == 32 || found.window == 64, "{found:?}");
        assert!(found.lags < 150, "{found:?}");
    }

    #[test]
    fn wide_tables_and_short_ones_limit_the_window() {
        let tone = |i: usize| (TAU * i as f64 / 300.0).sin() as f32;
        let wide = suggestion(40, (0..4000 * 40).map(|i| tone(i / 40) + (i % 40) as f32).collect());
        assert_eq!((wide.period, wide.window), (Some(300), 16));
        assert!(wide.reason.contains("no room for more than 16 samples of 40 columns"), "{}", wide.reason);
        let short = suggestion(1, (0..1300).map(tone).collect());
        // Four periods and a third do not have the mean of whole ones, which moves the peak.
        assert!(short.period.unwrap().abs_diff(300) < 10 && short.window == 128, "{short:?}");
        assert!(short.reason.contains("1300 rows make few windows of more than 128"), "{}", short.reason);
        let slow = suggestion(1, (0..20_000).map(|i| (TAU * f64::from(i) / 40_000.0).sin() as f32).collect());
        assert!(slow.period.is_none() && slow.reason.contains("slower than any window"), "{slow:?}");
    }
}
