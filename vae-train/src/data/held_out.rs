//! Which windows are held out.

use anyhow::{Result, ensure};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    config::{Config, data::Split},
    data::{columns::LEAST_WINDOWS, drift, windows::Windows},
    statistics::pieces::starts_among,
};

/// Most held-out windows that are used, evenly spaced over those that are held out: enough to tell a false-alarm rate of 1e-4
/// within a tenth or so, and little to validate on after each epoch.
pub const MOST_HELD_OUT: usize = 100_000;

/// The `chosen` windows in two parts, by index: those that are trained on, and those that are held out. With a drift the windows are others:
/// copies that are carried off. `starts` are the rows at which another recording begins.
pub(super) fn split(
    mut windows: Windows,
    mut chosen: Vec<usize>,
    starts: &[usize],
    channels: usize,
    config: &Config,
    name: &str,
) -> Result<(Windows, Vec<usize>, Vec<usize>)> {
    // Before they are shuffled.
    let reach: Option<Vec<f64>> = (config.data.drift > 0.0).then(|| {
        let steps = drift::level_steps(&windows, &chosen, channels);
        steps.iter().map(|step| f64::from(config.data.drift) * step).collect()
    });
    let mut held = share(chosen.len(), config);
    match config.data.split() {
        Split::Time => {
            let rows: Vec<usize> = chosen.iter().map(|index| windows.last_row[*index]).collect();
            held = whole_recordings(starts_among(&rows, starts).into_iter(), chosen.len(), held);
        }
        Split::Seeded => chosen.shuffle(&mut ChaCha8Rng::seed_from_u64(config.seed)),
    }
    let mut training = chosen.len().saturating_sub(held);
    check(chosen.len(), [training, held], name)?;
    if let Some(reach) = reach {
        training *= drift::copies(chosen.len());
        windows = drift::carried(&windows, &chosen, &reach, config.seed);
        chosen = (0..windows.len()).collect();
    }
    let held = chosen.split_off(training);
    Ok((windows, chosen, held))
}

/// How many of so many windows are held out, unless whole recordings are.
pub(super) fn share(windows: usize, config: &Config) -> usize {
    ((windows as f64 * config.data.validation).round() as usize).max(1)
}

/// Refuses so few windows, of which so many would be trained on and held out.
pub(super) fn check(windows: usize, [training, held]: [usize; 2], name: &str) -> Result<()> {
    ensure!(
        windows >= LEAST_WINDOWS && training >= 2,
        "{name}: {windows} normal window(s) leave {training} for training and {held} for validation: a fit needs at least \
         {LEAST_WINDOWS}; give more data or a shorter --hop"
    );
    Ok(())
}

/// How many of the last windows to hold out, where about so many are to be: those of whole recordings where one begins within half as many of
/// there, so that none is held out of which another part is trained on. `firsts` are the windows with which another recording begins.
pub(super) fn whole_recordings(firsts: impl Iterator<Item = usize>, windows: usize, held: usize) -> usize {
    let whole = firsts.map(|first| windows - first);
    let near = whole.filter(|count| count.abs_diff(held) <= held / 2);
    near.min_by_key(|count| count.abs_diff(held)).unwrap_or(held)
}

/// Held-out windows, evenly spaced where there are more than are used; says so.
pub(super) fn some_of(held: Vec<usize>, name: &str, notes: &mut Vec<String>) -> Vec<usize> {
    let used = held.len().min(MOST_HELD_OUT);
    notes.extend(note_on_some(used, held.len(), name));
    (0..used).map(|index| held[index * held.len() / used]).collect()
}

/// A note on the held-out windows where not all are used.
pub(super) fn note_on_some(used: usize, held: usize, name: &str) -> Option<String> {
    (used < held).then(|| format!("{name}: {used} of the {held} held-out windows are used, evenly spaced"))
}
