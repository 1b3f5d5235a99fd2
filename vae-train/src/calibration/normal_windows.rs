//! The windows of a table of any size that are normal and complete: which they are, their scores, and any few of them.

use anyhow::{Context, Result, ensure};
use vae_core::{FrontEnd, Model, ScoreKind};

use crate::{
    data::{
        for_model::origins_of,
        front_end::of_model,
        windows::{Buffer, Cutter, Lengths, Windows},
    },
    scoring,
    tables::{long_table::LongTable, table::Table},
};

/// The windows of a table that are normal and miss no value, without their values.
pub struct NormalWindows<'m, 't> {
    model: Model<'m>,
    table: &'t LongTable<'t>,
    front_ends: Vec<FrontEnd>,
    /// Of all windows those that they are, a bit each.
    chosen: Vec<u64>,
    /// How many they are, and how many others there are.
    pub(crate) count: usize,
    pub(crate) left_out: usize,
    /// Those with which another recording begins.
    pub(crate) starts: Vec<usize>,
    /// How long the recordings are.
    pub(crate) lengths: Lengths,
}

impl<'m, 't> NormalWindows<'m, 't> {
    /// Of a table of a model's columns, whatever its origins are, with their scores; `kind` and `threshold` are as [`scoring::by_kind`] has them.
    ///
    /// # Errors
    /// If there are none, or one cannot be scored.
    pub fn scored(
        model: Model<'m>,
        table: &'t LongTable<'t>,
        kind: ScoreKind,
        threshold: Option<f32>,
    ) -> Result<(Self, Vec<f32>)> {
        let mut lengths = Lengths::beside(model.window());
        table.pieces().for_each(|piece| lengths.add_piece(piece.len()));
        lengths.check(table.path())?;
        let front_ends = of_model(&model)?;
        let (chosen, starts) = (Vec::new(), Vec::new());
        let mut own = Self { model, table, front_ends, chosen, count: 0, left_out: 0, starts, lengths };
        let (mut chosen, mut scores, mut seen) = (Vec::new(), Vec::new(), 0);
        own.for_each_portion(&mut |windows| {
            chosen.resize((seen + windows.len()).div_ceil(64), 0u64);
            let windows = windows.retain(|window, is_anomalous| {
                let is_chosen = !is_anomalous && !window.iter().any(|value| value.is_nan());
                chosen[seen / 64] |= u64::from(is_chosen) << (seen % 64);
                seen += 1;
                is_chosen
            });
            let more = scoring::by_kind_from(scores.len(), &model, &windows.values, kind, threshold);
            scores.extend(more.with_context(|| table.path().display().to_string())?);
            Ok(())
        })?;
        ensure!(
            !scores.is_empty(),
            "{}: no normal window is complete: give normal data in which some windows miss no value",
            table.path().display()
        );
        (own.chosen, own.count, own.left_out) = (chosen, scores.len(), seen - scores.len());
        own.starts = own.starts_among_them();
        Ok((own, scores))
    }

    /// Their scores by another threshold.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn scores(&self, kind: ScoreKind, threshold: Option<f32>) -> Result<Vec<f32>> {
        Self::scored(self.model, self.table, kind, threshold).map(|(_, scores)| scores)
    }

    /// The table that they are of.
    #[must_use]
    pub fn table(&self) -> &'t LongTable<'t> {
        self.table
    }

    /// The last row of each of them, with the first row of its recording.
    pub fn last_rows(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let is_chosen = |index: usize| self.chosen[index / 64] >> (index % 64) & 1 == 1;
        let all = self.table.windows(self.model.window(), self.model.hop()).enumerate();
        all.filter(move |(index, _)| is_chosen(*index)).map(|(_, place)| place)
    }

    /// Every so many of them, from the first on, each followed by its condition.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn every(&self, step: usize) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        for (_, last) in self.last_rows().step_by(step) {
            let table = self.rebased(self.table.read(last + 1 - self.model.window()..last + 1)?)?;
            let window = Windows::cut(table, self.model.conditions(), self.model.window(), self.model.hop())?;
            values.extend(window.through(&self.front_ends)?.values);
        }
        Ok(values)
    }

    fn rebased(&self, mut table: Table) -> Result<Table> {
        table.rebase(&origins_of(&self.model)?);
        Ok(table)
    }

    /// Gives all windows of the table to `take`, some at a time.
    fn for_each_portion(&self, take: &mut dyn FnMut(Windows) -> Result<()>) -> Result<()> {
        let Self { model, table, front_ends, .. } = self;
        let mut buffer = Box::new(Buffer::new());
        let (channels, conditions) = (model.channels(), model.conditions());
        let mut cutter = Cutter::new(&mut buffer, [channels, conditions], model.window(), model.hop())?;
        for (rows, begins) in table.portions(model.window().div_ceil(model.hop())) {
            let portion = self.rebased(table.read(rows)?)?;
            let features = channels * model.window();
            let (values, last_row) = (Vec::new(), Vec::new());
            let mut windows = Windows { features, conditions, values, last_row, labels: None };
            cutter.cut(&portion, begins, &mut windows)?;
            take(windows.through(front_ends)?)?;
        }
        Ok(())
    }

    fn starts_among_them(&self) -> Vec<usize> {
        // Of each start the first window behind it.
        let (mut starts, mut begin) = (Vec::new(), None);
        for (index, (first, _)) in self.last_rows().enumerate() {
            if begin.replace(first).is_some_and(|before| before != first) {
                starts.push(index);
            }
        }
        starts
    }
}
