//! Held-out windows, as they were and changed, and who tells them apart.

use anyhow::Result;

use crate::{
    data::dataset::Dataset,
    run::search::trial::{Judge, Trials},
    statistics::moments::Moments,
    tables::table::Table,
};

/// Most held-out windows that are changed, evenly spaced; and of wide windows so many as hold this number of values.
const MOST_WINDOWS: usize = 300;
const MOST_VALUES: usize = 100_000;
/// Fewest held-out windows that are changed: of fewer, an AUROC is known to a few hundredths only.
pub(crate) const LEAST_WINDOWS: usize = 50;
/// Besides the search's disturbances, which are small as a search averages over a stretch of time, larger ones: a single window is judged.
const SIZES: [f32; 3] = [2.0, 4.0, 8.0];

/// What scores windows that lie one behind the other: the higher, the stranger.
pub(crate) type Scorer<'a> = dyn Fn(&[f32]) -> Result<Vec<f32>> + Sync + 'a;

/// Held-out windows, of which what varies is changed. Features of a front-end, which are all that is kept, are changed as those of a row.
pub(crate) struct Changed<'a> {
    /// In physical units, each followed by its condition.
    pub(crate) windows: Vec<&'a [f32]>,
    /// Samples in a window.
    rows: usize,
    /// Values in a sample.
    channels: usize,
    /// Those of them that vary in the training windows.
    pub(crate) varying: Vec<usize>,
}

impl<'a> Changed<'a> {
    pub(crate) fn of(dataset: &'a Dataset, moments: &[Moments]) -> Self {
        let (schema, features) = (&dataset.schema, dataset.features());
        let rows = if schema.front_ends.is_empty() { schema.window } else { 1 };
        let channels = features / rows;
        let varies = |channel: &usize| moments.iter().skip(*channel).step_by(channels).any(|m| !m.is_constant());
        let inputs = features + schema.conditions.len();
        let most = MOST_WINDOWS.min((MOST_VALUES / inputs).max(LEAST_WINDOWS));
        let held_out = dataset.holdout_rows.len();
        let used = held_out.min(most);
        let at = |index: usize| &dataset.holdout[index * held_out / used * inputs..][..inputs];
        Self { windows: (0..used).map(at).collect(), rows, channels, varying: (0..channels).filter(varies).collect() }
    }

    /// Where what varies stands in a window.
    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.rows).flat_map(move |row| self.varying.iter().map(move |channel| row * self.channels + channel))
    }

    pub(crate) fn trials(&self, dataset: &Dataset, seed: u64) -> Trials {
        let normal = Table {
            path: dataset.path.clone(),
            columns: self.varying.iter().map(ToString::to_string).collect(),
            values: self.windows.iter().flat_map(|window| self.places().map(|place| window[place])).collect(),
            labels: None,
            starts: Vec::new(),
            origins: Vec::new(),
        };
        let standardiser = &dataset.schema.standardiser;
        let moments: Vec<(f32, f32)> =
            self.varying.iter().map(|channel| (standardiser.mean[*channel], standardiser.scale[*channel])).collect();
        Trials::graded(&normal, self.rows, &moments, seed, &SIZES)
    }
}

/// What scores windows, as a judge of those that were changed.
pub(crate) struct Judged<'a> {
    pub(crate) changed: &'a Changed<'a>,
    pub(crate) score: &'a Scorer<'a>,
}

impl Judge for Judged<'_> {
    fn scores(&self, table: &Table) -> Result<Vec<(usize, f32)>> {
        let Changed { windows, rows, varying, .. } = self.changed;
        let mut changed = Vec::new();
        for (window, values) in windows.iter().zip(table.values.chunks_exact(rows * varying.len())) {
            let start = changed.len();
            changed.extend_from_slice(window);
            self.changed.places().zip(values).for_each(|(place, value)| changed[start + place] = *value);
        }
        let scores = (self.score)(&changed)?;
        Ok(scores.into_iter().enumerate().map(|(index, score)| (index * rows, score)).collect())
    }
}
