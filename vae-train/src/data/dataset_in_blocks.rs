//! A data set of any size: its windows stay in a scratch file, and some of them come into memory.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    config::{Config, data::ColumnFamily},
    data::{
        blocks::{Blocks, Cut},
        columns::{Columns, Seen},
        dataset::{Dataset, anomalous_left_out, check_usable, condition_is_missing, standardise},
        held_out::{MOST_HELD_OUT, check, note_on_some, share, whole_recordings},
        schema::{Schema, feature_names},
        spooled_table::SpooledTable,
        standardiser::Standardiser,
        windows::Windows,
    },
    statistics::moments::Moments,
    weights::family::Likelihood,
};

/// Most training windows that are in memory for all that is told of them beside the training itself.
const MOST_LOOKED_AT: usize = 100_000;
/// Most bytes of them, and of the held-out windows.
const BYTES: usize = 1 << 26;

/// Refuses what is done in memory only.
///
/// # Errors
/// Names the option, and what to do.
pub fn check_that_blocks_do(config: &Config) -> Result<()> {
    let data = &config.data;
    let asked = [
        ("--front-end", !data.front_end.is_empty()),
        ("--column", !data.column.is_empty()),
        ("--likelihood bernoulli", config.model.likelihood == Likelihood::Bernoulli),
        ("--binarise", data.binarise.is_some()),
        ("--drift", data.drift > 0.0),
        ("--trim", data.trim.is_some()),
    ];
    if let Some((option, _)) = asked.iter().find(|(_, is_asked)| *is_asked) {
        bail!(
            "{option} is for tables that fit into memory: leave it out, give more --memory, or fit to a part of the data"
        );
    }
    Ok(())
}

impl Dataset {
    /// Prepares a table of any size for a fit, as [`Self::prepare`] does one in memory. Where the held-out windows are a random part, they are so of
    /// each block; where all windows are in one block, the data set is the same. Of the training windows at most 100,000, evenly spaced, are in
    /// [`Self::train`], and all in [`Self::supply`].
    ///
    /// # Errors
    /// If there is nothing to learn from, or too little; if the configuration asks for what is done in memory only; if the scratch file cannot be
    /// read.
    pub fn prepare_in_blocks(mut table: SpooledTable, config: &Config) -> Result<Self> {
        check_that_blocks_do(config)?;
        let path = table.path.clone();
        let name = path.display().to_string();
        let data = table.take_fingerprint();
        let Columns { kept, dropped, ranges, families, mut notes } = {
            let SpooledTable { path, columns, origins, normal_rows, moments, spool, .. } = &table;
            let seen = Seen { path, columns, origins, normal_rows: *normal_rows, moments };
            Columns::judged(&seen, config, |column, value| spool.position(column, value))?
        };
        table.lengths.end();
        table.lengths.check(&path)?;
        notes.extend(table.lengths.note(&path));
        notes.extend(anomalous_left_out(table.windows - table.normal, &name));
        let places = [places(&table, &kept)?, places(&table, &config.data.condition)?];
        let origins = places.iter().flatten().map(|place| table.origins.get(*place).copied().unwrap_or(0.0));
        let origins = if table.origins.is_empty() { Vec::new() } else { origins.collect() };
        let (window, conditions) = (table.window, places[1].len());
        let channels = kept.len();
        let blocks = in_parts(table, places, config, &name)?;
        let gathered = Gathered::of(&blocks, [channels, window, conditions], config, &name)?;
        let features = feature_names(&kept, &[], window);
        let standardiser = Standardiser::of_channels(&gathered.moments[0], window);
        let condition_standardiser = Standardiser::of_condition_moments(&gathered.moments[1]);
        check_usable([(&standardiser, &features), (&condition_standardiser, &config.data.condition)], &name)?;
        let schema = Schema {
            channels: kept,
            conditions: config.data.condition.clone(),
            families,
            categorical: config.data.columns_of(ColumnFamily::Categorical)?,
            dropped,
            window,
            hop: config.data.hop(),
            front_ends: Vec::new(),
            origins,
            data,
            standardiser,
            condition_standardiser,
        };
        let Gathered { mut windows, holdout, holdout_rows, held, .. } = gathered;
        notes.extend(note_on_some(holdout_rows.len(), held, &name));
        standardise(&mut windows, &schema);
        let (all, looked_at) = (blocks.windows(), windows.len());
        notes.push(format!(
            "{name}: is read from {} block(s) of a scratch file, as its windows do not fit into --memory",
            blocks.len()
        ));
        if looked_at < all {
            notes.push(format!(
                "{name}: all {all} training windows are trained on; what is told of them beside that is told by {looked_at}, evenly spaced"
            ));
        }
        let train = (0..looked_at).collect();
        let blocks = Some(Arc::new(blocks.standardised_by(&schema)));
        Ok(Self { path, schema, windows, train, holdout, holdout_rows, notes, ranges, blocks })
    }
}

/// Where columns of these names are in a row.
fn places(table: &SpooledTable, names: &[String]) -> Result<Vec<usize>> {
    let place = |name: &String| table.columns.iter().position(|column| column == name);
    names
        .iter()
        .map(|name| place(name).with_context(|| format!("--condition names columns of the data: `{name}`")))
        .collect()
}

/// The blocks of a table, with its windows told apart that are trained on and that are held out.
fn in_parts(table: SpooledTable, places: [Vec<usize>; 2], config: &Config, name: &str) -> Result<Blocks> {
    let normal = table.normal;
    let mut firsts = table.normal_before.clone();
    firsts.retain(|first| (1..normal).contains(first));
    firsts.dedup();
    let held = whole_recordings(firsts.into_iter(), normal, share(normal, config));
    check(normal, [normal.saturating_sub(held), held], name)?;
    let blocks = Blocks::new(table, places, held, config);
    ensure!(blocks.windows() >= 2, "{name}: blocks of so few windows leave none to train on: give a shorter --hop");
    Ok(blocks)
}

/// What one pass over the blocks tells.
struct Gathered {
    /// Of each channel, and of each condition, in all normal windows.
    moments: [Vec<Moments>; 2],
    /// Some of the windows that are trained on, as they were measured.
    windows: Windows,
    /// Some of those that are held out.
    holdout: Vec<f32>,
    holdout_rows: Vec<usize>,
    /// How many are held out in all.
    held: usize,
}

impl Gathered {
    fn of(blocks: &Blocks, [channels, window, conditions]: [usize; 3], config: &Config, name: &str) -> Result<Self> {
        let features = channels * window;
        let [all, held] =
            (0..blocks.len()).map(|block| blocks.counts(block)).fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
        let room = BYTES / (size_of::<f32>() * (features + conditions));
        let mut looked_at = Evenly::of(all, MOST_LOOKED_AT.min(room));
        let mut kept = Evenly::of(held, MOST_HELD_OUT.min(room));
        let windows = Windows { features, conditions, values: Vec::new(), last_row: Vec::new(), labels: None };
        let moments = [channels, conditions].map(|columns| vec![Moments::default(); columns]);
        let mut gathered = Self { moments, windows, holdout: Vec::new(), holdout_rows: Vec::new(), held };
        let mut inputs = Vec::new();
        for block in 0..blocks.len() {
            let cut: Cut = blocks.cut(block)?;
            let [train, held] = blocks.parts(block, &cut);
            let parts = train.iter().map(|window| (window, true)).chain(held.iter().map(|window| (window, false)));
            for (window, is_trained_on) in parts {
                inputs.clear();
                let row = blocks.gather(&cut, *window, &mut inputs);
                if inputs[features..].iter().any(|value| value.is_nan()) {
                    return Err(condition_is_missing(row, config, name));
                }
                gathered.count(&inputs, channels);
                if is_trained_on && looked_at.takes() {
                    gathered.windows.values.extend_from_slice(&inputs);
                    gathered.windows.last_row.push(row);
                }
                if !is_trained_on && kept.takes() {
                    gathered.holdout.extend_from_slice(&inputs);
                    gathered.holdout_rows.push(row);
                }
            }
        }
        Ok(gathered)
    }

    fn count(&mut self, inputs: &[f32], channels: usize) {
        let (x, condition) = inputs.split_at(self.windows.features);
        for (moments, rows) in
            self.moments.iter_mut().zip([x.chunks_exact(channels), condition.chunks_exact(condition.len().max(1))])
        {
            for row in rows {
                moments.iter_mut().zip(row).for_each(|(moments, value)| moments.push(f64::from(*value)));
            }
        }
    }
}

/// Chooses evenly spaced ones of what comes one after the other.
struct Evenly {
    all: usize,
    used: usize,
    seen: usize,
    taken: usize,
}

impl Evenly {
    /// At most so many of `all`.
    fn of(all: usize, most: usize) -> Self {
        Self { all, used: all.min(most), seen: 0, taken: 0 }
    }

    /// Whether the next one is taken.
    fn takes(&mut self) -> bool {
        let takes = self.taken < self.used && self.seen == self.taken * self.all / self.used;
        self.seen += 1;
        self.taken += usize::from(takes);
        takes
    }
}
