//! How a model's channels behave in normal data: runs, gaps, levels and powers.

use anyhow::{Result, bail, ensure};
use vae_core::{ChannelCalibration, Location, Model, REACH, format::FeatureFamily};

use crate::{
    calibration::{
        changes::limit,
        channel_series::Series,
        normal_windows::NormalWindows,
        sequential::{INTERQUARTILE_RANGE, PATHS, Sequential},
    },
    scoring,
    statistics::{
        dependence::dependence,
        metrics::quantile,
        pieces::{pieces, starts_among},
    },
    tables::long_table::LongTable,
    words::{messages::list, numbers::absolute},
};

/// Windows that channels' ordinary costs are averaged over, at most.
const MOST_ATTRIBUTED: usize = 2000;

/// Rounds in which a robust average is found.
const ROUNDS: usize = 50;

/// A range of a sensor, by its channel's name.
pub type Range = (String, f32, f32);

/// How each channel behaves.
///
/// # Errors
/// If a range is of no channel or does not hold what was recorded, or a window cannot be scored.
pub fn channels(
    model: &Model<'_>,
    windows: &NormalWindows<'_, '_>,
    sequential: &Sequential,
    ranges: &[Range],
) -> Result<Vec<ChannelCalibration>> {
    let card = model.card()?;
    let names: Vec<&str> = card.channels.lines().collect();
    for (range, ..) in ranges {
        ensure!(
            names.contains(&range.as_str()),
            "--range: there is no channel `{range}`; the model's are {}",
            list(&names)
        );
    }
    let nats = channel_nats(model, &windows.every(windows.count.div_ceil(MOST_ATTRIBUTED).max(1))?)?;
    let families: Vec<FeatureFamily> = model.families()?.take(names.len()).collect();
    let table = windows.table();
    let range = |(channel, name)| range(table, channel, name, ranges);
    let ranges: Vec<(f32, f32)> = names.iter().copied().enumerate().map(range).collect();
    let series = Series::of(table, &ranges)?;
    let of = |(channel, nats): (usize, f64)| {
        let Series { longest_run, longest_gap, mean, power, outside, .. } = series[channel];
        if families.get(channel).is_some_and(|family| family.is_discrete()) {
            return Ok(of_states(longest_gap, nats));
        }
        let (range, origin) = (ranges[channel], table.origin(channel));
        if let Some(value) = outside {
            let [value, low, high] = [value, range.0, range.1].map(|value| absolute(value, origin));
            bail!(
                "{}: channel `{}` is {value} in normal data, outside its --range {low} to {high}",
                table.path().display(),
                names[channel]
            );
        }
        // A channel that does not vary, or whose square is beyond f32, has no drift but what the scores show.
        let varies = (f32::MIN_POSITIVE..f32::MAX).contains(&(power as f32));
        let (level, strength) = if varies {
            let location = |of: &dyn Fn(f64) -> f64| -> Result<Location> {
                let hops = hops(windows, model, channel, &|value| of(value - mean))?;
                Ok(location(&hops, &windows.starts, sequential))
            };
            let strength = location(&|distance| distance * distance / power)?;
            (location(&|distance| distance)?, relative(strength))
        } else {
            (ChannelCalibration::UNKNOWN.level, ChannelCalibration::UNKNOWN.strength)
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

/// The range of a channel of this name, relative to its origin.
fn range(table: &LongTable<'_>, channel: usize, name: &str, ranges: &[Range]) -> (f32, f32) {
    let origin = table.origin(channel);
    let relative_to_origin = |limit: f32| (f64::from(limit) - origin) as f32;
    let given = ranges.iter().find(|(range, ..)| range == name);
    given.map_or((f32::MIN, f32::MAX), |(_, low, high)| (relative_to_origin(*low), relative_to_origin(*high)))
}

/// How a channel of zeros and ones behaves: a machine may stay in a state for as long as it likes, so that no run is too long, and states have no
/// level that drifts.
fn of_states(longest_gap: usize, nats: f64) -> ChannelCalibration {
    ChannelCalibration {
        range: (0.0, 1.0),
        longest_gap: longest_gap as f32,
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

/// The mean of a statistic over the samples that each normal window adds to the one before, in its recording; NaN where none was observed.
fn hops(
    windows: &NormalWindows<'_, '_>,
    model: &Model<'_>,
    channel: usize,
    of: &dyn Fn(f64) -> f64,
) -> Result<Vec<f64>> {
    let (table, hop) = (windows.table(), model.hop());
    let mut hops = Vec::with_capacity(windows.count);
    let mut places = windows.last_rows().peekable();
    for (rows, _) in table.portions(0) {
        let from = (rows.start + 1).saturating_sub(hop);
        let values = table.column(channel, from..rows.end)?;
        while let Some((begin, last)) = places.next_if(|(_, last)| *last < rows.end) {
            // The first windows of a recording have no hop before them where that is longer than a window.
            let first = (last + 1).saturating_sub(hop).max(begin);
            let own = values[first - from..=last - from].iter();
            let seen: Vec<f64> = own.map(|value| f64::from(*value)).filter(|value| !value.is_nan()).map(of).collect();
            // Not a number for none.
            hops.push(seen.iter().sum::<f64>() / seen.len() as f64);
        }
    }
    Ok(hops)
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
    drop(sorted);
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
    let dependence = if count == series.len() as f64 {
        dependence(series, starts)
    } else {
        let observed: Vec<usize> = (0..series.len()).filter(|window| !series[*window].is_nan()).collect();
        let values: Vec<f64> = observed.iter().map(|window| series[*window]).collect();
        dependence(&values, &starts_among(&observed, starts))
    };
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
