//! How a model's channels behave in normal data: runs, gaps, levels and powers.

use std::ops;

use anyhow::{Result, bail, ensure};
use vae_core::{ChannelCalibration, Location, Model, REACH, format::FeatureFamily};

use crate::{
    calibration::{
        changes::limit,
        sequential::{INTERQUARTILE_RANGE, PATHS, Sequential},
    },
    scoring,
    statistics::{
        dependence::dependence,
        metrics::quantile,
        pieces::{pieces, starts_among},
    },
    tables::table::Table,
    words::{messages::list, numbers::absolute},
};

/// Windows that channels' ordinary costs are averaged over, at most.
const MOST_ATTRIBUTED: usize = 2000;

/// Rounds in which a robust average is found.
const ROUNDS: usize = 50;

/// A range of a sensor, by its channel's name.
pub type Range = (String, f32, f32);

/// Recordings of normal windows.
#[derive(Clone, Copy, Debug)]
pub struct WindowedTable<'r> {
    /// The model's channels, then its conditions, row after row.
    pub table: &'r Table,
    /// Last rows of the normal windows.
    pub last_rows: &'r [usize],
    /// The windows with which another recording begins.
    pub starts: &'r [usize],
    /// Their inputs.
    pub windows: &'r [f32],
}

/// How each channel behaves.
///
/// # Errors
/// If a range is of no channel or does not hold what was recorded, or a window cannot be scored.
pub fn channels(
    model: &Model<'_>,
    recording: &WindowedTable<'_>,
    sequential: &Sequential,
    ranges: &[Range],
) -> Result<Vec<ChannelCalibration>> {
    let WindowedTable { table, starts, windows, .. } = *recording;
    let card = model.card()?;
    let names: Vec<&str> = card.channels.lines().collect();
    for (range, ..) in ranges {
        ensure!(
            names.contains(&range.as_str()),
            "--range: there is no channel `{range}`; the model's are {}",
            list(&names)
        );
    }
    let nats = channel_nats(model, windows)?;
    let families: Vec<FeatureFamily> = model.families()?.take(names.len()).collect();
    let of = |(channel, nats): (usize, f64)| {
        if families.get(channel).is_some_and(|family| family.is_discrete()) {
            return Ok(of_states(table, channel, nats));
        }
        let (series, firsts) = series(table, channel);
        let range = ranges.iter().find(|(range, ..)| range == names[channel]);
        let origin = table.origin(channel);
        let relative_to_origin = |limit: f32| (f64::from(limit) - origin) as f32;
        let range =
            range.map_or((f32::MIN, f32::MAX), |(_, low, high)| (relative_to_origin(*low), relative_to_origin(*high)));
        if let Some(value) = series.iter().find(|value| **value < range.0 || **value > range.1) {
            let [value, low, high] = [*value, range.0, range.1].map(|value| absolute(value, origin));
            bail!(
                "{}: channel `{}` is {value} in normal data, outside its --range {low} to {high}",
                table.path.display(),
                names[channel]
            );
        }
        let (longest_run, longest_gap) = runs(&series, &firsts);
        let (mean, power) = moments(&series);
        // A channel that does not vary, or whose square is beyond f32, has no drift but what the scores show.
        let varies = (f32::MIN_POSITIVE..f32::MAX).contains(&(power as f32));
        let unknown = ChannelCalibration::UNKNOWN;
        let (level, strength) = if varies {
            let hops = |of: &dyn Fn(f64) -> f64| hops(recording, model, channel, &|value| of(value - mean));
            let strength = location(&hops(&|distance| distance * distance / power), starts, sequential);
            (location(&hops(&|distance| distance), starts, sequential), relative(strength))
        } else {
            (unknown.level, unknown.strength)
        };
        Ok(ChannelCalibration {
            range,
            longest_run: longest_run as f32,
            longest_gap: longest_gap as f32,
            nats: nats as f32,
            mean: mean as f32,
            power: if varies { power as f32 } else { 1.0 },
            level,
            strength,
        })
    };
    nats.into_iter().enumerate().map(of).collect()
}

/// How a channel of zeros and ones behaves: a machine may stay in a state for as long as it likes, so that no run is too long, and states have no
/// level that drifts.
fn of_states(table: &Table, channel: usize, nats: f64) -> ChannelCalibration {
    let (series, firsts) = series(table, channel);
    ChannelCalibration {
        range: (0.0, 1.0),
        longest_gap: runs(&series, &firsts).1 as f32,
        nats: nats as f32,
        ..ChannelCalibration::UNKNOWN
    }
}

/// What each channel's features cost in a window in which all of them are observed, on average.
pub(crate) fn channel_nats(model: &Model<'_>, windows: &[f32]) -> Result<Vec<f64>> {
    let width = model.features() + model.conditions();
    let step = (windows.len() / width).div_ceil(MOST_ATTRIBUTED).max(1);
    let some: Vec<f32> = windows.chunks_exact(width).step_by(step).flatten().copied().collect();
    let channel_of: Vec<usize> = model.feature_channels()?.collect();
    let costs = scoring::for_each_window(model, &some, |_, model, x, scratch| {
        let mut costs = vec![(0.0, 0.0); model.channels()];
        model.attribute(x, scratch, &mut |feature, cost| {
            let (nats, observed) = &mut costs[channel_of[feature]];
            (*nats, *observed) = (*nats + f64::from(cost), *observed + 1.0);
        })?;
        Ok(costs)
    })?;
    let mut features = vec![0.0; model.channels()];
    channel_of.iter().for_each(|channel| features[*channel] += 1.0);
    let of_window = |(channel, features): (usize, f64)| {
        let each = costs.iter().map(|costs| costs[channel]);
        let (nats, observed) = each.fold((0.0, 0.0), |(nats, observed), (n, o)| (nats + n, observed + o));
        // Of a channel without any value: as a Gaussian's by the definition of its variance.
        features * if observed > 0.0 { nats / observed } else { 0.5 }
    };
    Ok(features.into_iter().enumerate().map(of_window).collect())
}

/// A channel's values in normal rows, and those with which another recording begins: what an anomaly does to a sensor is not what is normal of it.
fn series(table: &Table, channel: usize) -> (Vec<f32>, Vec<usize>) {
    let value = |row: usize| table.values[row * table.columns.len() + channel];
    let Some(labels) = &table.labels else { return ((0..table.rows()).map(value).collect(), table.starts.clone()) };
    let rows: Vec<usize> = (0..table.rows()).filter(|row| !labels[*row]).collect();
    (rows.iter().copied().map(value).collect(), table.starts_among(&rows))
}

/// Mean, and mean square of the distance from it.
fn moments(series: &[f32]) -> (f64, f64) {
    let average = |of: &dyn Fn(f64) -> f64| {
        let values = series.iter().filter(|value| !value.is_nan());
        let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + of(f64::from(*value)), count + 1.0));
        sum / f64::max(count, 1.0)
    };
    let mean = average(&|value| value);
    (mean, average(&|value| (value - mean).powi(2)))
}

/// The longest run of one value, and of none, in one recording.
fn runs(series: &[f32], starts: &[usize]) -> (usize, usize) {
    let longest = |missing: bool| {
        let of_piece = |piece: ops::Range<usize>| series[piece].chunk_by(|a, b| a == b || (a.is_nan() && b.is_nan()));
        pieces(starts, series.len())
            .flat_map(of_piece)
            .filter(|run| run[0].is_nan() == missing)
            .map(<[f32]>::len)
            .max()
            .unwrap_or(0)
    };
    (longest(false), longest(true))
}

/// The mean of a statistic over the samples that each normal window adds to the one before, in its recording; NaN where none was observed.
fn hops(recording: &WindowedTable<'_>, model: &Model<'_>, channel: usize, of: &dyn Fn(f64) -> f64) -> Vec<f64> {
    let WindowedTable { table, last_rows, .. } = recording;
    let columns = table.columns.len();
    let hop = |last: &usize| {
        // The first windows of a recording have no hop before them where that is longer than a window.
        let begin =
            table.starts.partition_point(|start| start <= last).checked_sub(1).map_or(0, |own| table.starts[own]);
        let first = (last + 1).saturating_sub(model.hop()).max(begin);
        let rows = table.values[first * columns..(last + 1) * columns].chunks_exact(columns);
        let seen: Vec<f64> = rows.map(|row| f64::from(row[channel])).filter(|value| !value.is_nan()).map(of).collect();
        // Not a number for none.
        seen.iter().sum::<f64>() / seen.len() as f64
    };
    last_rows.iter().map(hop).collect()
}

/// Where the average that follows a statistic lies ordinarily: its path along the recordings, of which another begins with `starts`, and which
/// stands still where the device's does.
fn location(series: &[f64], starts: &[usize], sequential: &Sequential) -> Location {
    let mut sorted: Vec<f32> = series.iter().filter(|value| !value.is_nan()).map(|value| *value as f32).collect();
    let (Some(memory), false) = (sequential.memory, sorted.is_empty()) else { return Location::UNKNOWN };
    sorted.sort_by(f32::total_cmp);
    let count = sorted.len() as f64;
    let mean = sorted.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let variance = sorted.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count;
    let quartiles = f64::from(quantile(&sorted, 0.75)) - f64::from(quantile(&sorted, 0.25));
    let spread = if quartiles > 0.0 { quartiles / INTERQUARTILE_RANGE } else { variance.sqrt() };
    let most = f64::from(REACH) * spread;
    let mut centre = f64::from(quantile(&sorted, 0.5));
    for _ in 0..ROUNDS {
        centre += sorted.iter().map(|value| (f64::from(*value) - centre).clamp(-most, most)).sum::<f64>() / count;
    }
    let mut path = Vec::with_capacity(series.len());
    for piece in pieces(starts, series.len()) {
        let mut average = 0.0;
        path.extend(series[piece.clone()].iter().zip(&sequential.learning[piece]).map(|(value, learning)| {
            if *learning && !value.is_nan() {
                average += (value - centre - average).clamp(-most, most) / memory;
            }
            average
        }));
    }
    let observed: Vec<usize> = (0..series.len()).filter(|window| !series[*window].is_nan()).collect();
    let values: Vec<f64> = observed.iter().map(|window| series[*window]).collect();
    let dependence = dependence(&values, &starts_among(&observed, starts));
    let limit = limit(&path, starts, PATHS.0 * spread, memory, dependence);
    Location { centre: centre as f32, spread: spread as f32, limit: limit.min(f32::MAX.into()) as f32 }
}

/// Of a power, whose limit is a share of it.
fn relative(power: Location) -> Location {
    let limit = power.limit / power.centre;
    if power.centre > 0.0 && limit.is_finite() {
        Location { limit, ..power }
    } else {
        ChannelCalibration::UNKNOWN.strength
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_runs_of_a_value_and_of_none() {
        let nan = f32::NAN;
        assert_eq!(runs(&[1.0, 1.0, 2.0, nan, nan, nan, 2.0, 2.0], &[]), (2, 3));
        assert_eq!(runs(&[nan], &[]), (0, 1));
        assert_eq!(runs(&[], &[]), (0, 0));
        // One that goes on in another recording is two.
        assert_eq!(runs(&[1.0, 1.0, 1.0, nan, nan, nan, 2.0, 2.0], &[1, 5]), (2, 2));
    }
}
