//! Windows to train on that lie in the blocks of a scratch file.
//!
//! An epoch reads blocks in an order that the seed and the epoch choose, as many at once as there is room for, and takes their windows in a random
//! order. A batch is therefore of windows of some hundred places in the recording, and not of any.

use anyhow::Result;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{
    config::{Config, data::Split},
    data::{
        held_out::share,
        schema::Schema,
        spooled_table::{ANOMALOUS, BEGINS, Block, SpooledTable, ends_window},
    },
    tables::spool::Spool,
};

/// Bytes of standardised windows that are in memory at once, about.
const SITTING: usize = 1 << 26;

/// How windows are told apart that are trained on and that are held out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Parts {
    /// The first so many normal windows are trained on.
    First(usize),
    /// Of each block a random part is held out.
    Random,
}

/// The rows of a block, those before it that its windows hold, and where its normal windows end.
pub(super) struct Cut {
    values: Vec<f32>,
    /// The row, over all blocks, that the first one is.
    first: usize,
    /// Places among the rows here.
    ends: Vec<usize>,
}

/// Windows of a [`SpooledTable`], block by block.
#[derive(Debug)]
pub struct Blocks {
    spool: Spool,
    window: usize,
    hop: usize,
    block_rows: usize,
    blocks: Vec<Block>,
    /// All normal windows.
    normal: usize,
    /// The places in a row of channels, and of conditions.
    places: [Vec<usize>; 2],
    parts: Parts,
    config: Config,
    /// By which windows are standardised, once it is known.
    schema: Option<Schema>,
}

impl Blocks {
    /// Of the rows of a table, with these columns as channels and conditions; the last `held` windows are held out, where it is by time.
    pub(super) fn new(table: SpooledTable, places: [Vec<usize>; 2], held: usize, config: &Config) -> Self {
        let SpooledTable { spool, window, hop, block_rows, blocks, normal, .. } = table;
        let parts = match config.data.split() {
            Split::Time => Parts::First(normal.saturating_sub(held)),
            Split::Seeded => Parts::Random,
        };
        Self { spool, window, hop, block_rows, blocks, normal, places, parts, config: config.clone(), schema: None }
    }

    /// With what its windows are standardised by.
    pub(super) fn standardised_by(self, schema: &Schema) -> Self {
        Self { schema: Some(schema.clone()), ..self }
    }

    /// How many blocks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Values of a window and its condition.
    fn inputs(&self) -> usize {
        self.places[0].len() * self.window + self.places[1].len()
    }

    /// How many windows of a block are trained on, and how many are held out.
    pub(super) fn counts(&self, block: usize) -> [usize; 2] {
        let first = self.blocks[block].normal;
        let windows = self.blocks.get(block + 1).map_or(self.normal, |next| next.normal) - first;
        let training = match self.parts {
            Parts::First(training) => training.saturating_sub(first).min(windows),
            Parts::Random if windows == 0 => 0,
            Parts::Random => windows - share(windows, &self.config).min(windows),
        };
        [training, windows - training]
    }

    /// How many windows there are to train on.
    #[must_use]
    pub fn windows(&self) -> usize {
        (0..self.len()).map(|block| self.counts(block)[0]).sum()
    }

    /// Reads a block.
    pub(super) fn cut(&self, block: usize) -> Result<Cut> {
        let own = block * self.block_rows;
        let first = (own + 1).saturating_sub(self.window);
        let values = self.spool.read(first..(own + self.block_rows).min(self.spool.rows()))?;
        let (mut position, mut since_anomaly) = (0, usize::MAX);
        let mut ends = Vec::new();
        let width = self.spool.width();
        for (index, row) in values.chunks_exact(width).enumerate() {
            let says = row[width - 1] as u8;
            if first + index == own {
                position = self.blocks[block].position;
            }
            if says & BEGINS != 0 {
                (position, since_anomaly) = (0, usize::MAX);
            }
            since_anomaly = if says & ANOMALOUS != 0 { 0 } else { since_anomaly.saturating_add(1) };
            position += 1;
            let is_own = first + index >= own;
            if is_own && since_anomaly >= self.window && ends_window(position, self.window, self.hop) {
                ends.push(index);
            }
        }
        Ok(Cut { values, first, ends })
    }

    /// The windows of a block that are trained on, and those that are held out, in their order.
    pub(super) fn parts(&self, block: usize, cut: &Cut) -> [Vec<usize>; 2] {
        let mut chosen: Vec<usize> = (0..cut.ends.len()).collect();
        if self.parts == Parts::Random {
            let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
            rng.set_stream(block as u64);
            chosen.shuffle(&mut rng);
        }
        let held = chosen.split_off(self.counts(block)[0].min(chosen.len()));
        [chosen, held]
    }

    /// Puts a window's values and its condition's, as they were measured, behind those that there are; returns its last row.
    pub(super) fn gather(&self, cut: &Cut, window: usize, into: &mut Vec<f32>) -> usize {
        let [channels, conditions] = &self.places;
        let (end, width) = (cut.ends[window], self.spool.width());
        for row in cut.values[(end + 1 - self.window) * width..(end + 1) * width].chunks_exact(width) {
            into.extend(channels.iter().map(|place| row[*place]));
        }
        into.extend(conditions.iter().map(|place| cut.values[end * width + place]));
        cut.first + end
    }

    /// Windows of this epoch: blocks one after the other until there are `most`, or all.
    pub(crate) fn epoch(&self, epoch: usize, most: usize) -> Epoch<'_> {
        let mut order: Vec<usize> = (0..self.len()).filter(|block| self.counts(*block)[0] > 0).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        // Not what the order of the windows is drawn by.
        rng.set_stream(u64::MAX - epoch as u64);
        order.shuffle(&mut rng);
        let room = (SITTING / (size_of::<f32>() * self.inputs())).max(1);
        let (mut sittings, mut windows, mut here) = (Vec::<Vec<usize>>::new(), 0, usize::MAX);
        for block in order {
            let own = self.counts(block)[0];
            if windows >= most {
                break;
            }
            match sittings.last_mut() {
                Some(sitting) if here + own <= room => sitting.push(block),
                _ => {
                    sittings.push(vec![block]);
                    here = 0;
                }
            }
            here += own;
            windows += own;
        }
        // As they lie in the file; a sitting of all windows has them in the order that they have in memory.
        sittings.iter_mut().for_each(|sitting| sitting.sort_unstable());
        Epoch { blocks: self, sittings: sittings.into_iter(), windows: windows.min(most) }
    }

    /// The standardised windows of some blocks that are trained on, and the last row of each.
    fn load(&self, blocks: &[usize]) -> Result<Sitting> {
        let count = blocks.iter().map(|block| self.counts(*block)[0]).sum::<usize>();
        let mut sitting = Sitting {
            values: Vec::with_capacity(count * self.inputs()),
            chosen: (0..count).collect(),
            last_row: Vec::with_capacity(count),
        };
        let mut inputs = Vec::with_capacity(self.inputs());
        for block in blocks {
            let cut = self.cut(*block)?;
            for window in &self.parts(*block, &cut)[0] {
                inputs.clear();
                sitting.last_row.push(self.gather(&cut, *window, &mut inputs));
                match &self.schema {
                    Some(schema) => sitting.values.extend(schema.standardise(&inputs)),
                    None => sitting.values.extend_from_slice(&inputs),
                }
            }
        }
        Ok(sitting)
    }
}

/// Windows that are in memory at once.
pub(crate) struct Sitting {
    /// Standardised, each followed by its condition.
    pub(crate) values: Vec<f32>,
    /// All of them, by index.
    pub(crate) chosen: Vec<usize>,
    /// For each, the index of its last row in the table.
    pub(crate) last_row: Vec<usize>,
}

/// An epoch's windows, some at a time.
pub(crate) struct Epoch<'b> {
    blocks: &'b Blocks,
    sittings: std::vec::IntoIter<Vec<usize>>,
    /// How many they are in all.
    pub(crate) windows: usize,
}

impl Epoch<'_> {
    /// The next ones; `None` behind the last.
    ///
    /// # Errors
    /// If the scratch file cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Sitting>> {
        self.sittings.next().map(|sitting| self.blocks.load(&sitting)).transpose()
    }
}
