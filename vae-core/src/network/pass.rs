//! A pass through a half of the network, layer by layer.

use crate::{
    format::{
        error::LoadError,
        kind::Precision,
        record::Records,
        size::{CHUNK, MAX_LAYER_SIDE, padded_rows},
    },
    network::{
        error::InferError,
        input::Source,
        layer::{Layer, Outputs},
        scratch::LayerBuffers,
    },
};

/// Takes the outputs of a last layer, chunk by chunk, with the first one's row and room for as many features; none where what it compares
/// them with does not have as many.
pub(crate) type Emit<'e> = &'e mut dyn FnMut(usize, Outputs<'_>, &mut [f32; CHUNK]) -> Option<()>;

/// One half of the network: its layers are read one by one, so that their number is not limited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layers<'m> {
    pub(crate) records: Records<'m>,
    pub(crate) precision: Precision,
    pub(crate) remaining: u32,
    /// Outputs of the last layer, less one: they are 1 to 2¹⁶, and two bytes take no room beside the precision.
    last: u16,
}

impl<'m> Layers<'m> {
    /// `count` layers, the last of which has so many outputs; none where no layer can have as many.
    pub(crate) fn new(records: Records<'m>, precision: Precision, count: u32, outputs: usize) -> Self {
        const { assert!(MAX_LAYER_SIDE == u16::MAX as usize + 1) };
        let remaining = if outputs > MAX_LAYER_SIDE { 0 } else { count };
        let last = outputs.wrapping_sub(1) as u16;
        Self { records, precision, remaining, last }
    }

    /// One layer with as many outputs, whose record is the first of these.
    pub(crate) fn one_more(self, records: Records<'m>) -> Self {
        Self { records, remaining: 1, ..self }
    }

    /// The next layer, which must have so many inputs. One that does not fit those around it is refused: it would read what was left in the
    /// scratch, or leave it there.
    pub(crate) fn next(&mut self, inputs: usize) -> Option<Result<Layer<'m>, LoadError>> {
        self.remaining = self.remaining.checked_sub(1)?;
        Some(self.read(inputs))
    }

    fn read(&mut self, inputs: usize) -> Result<Layer<'m>, LoadError> {
        let layer = Layer::read(&mut self.records, self.precision, inputs)?;
        let (expected, found) = (usize::from(self.last) + 1, layer.rows);
        if self.remaining == 0 && expected != found {
            return Err(LoadError::Shape { expected, found });
        }
        Ok(layer)
    }
}

/// A half of the network that has been run up to a layer, whose input lies in the buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass<'m> {
    layer: Layer<'m>,
    /// Of the input's integers, in an int8 layer.
    exponent: i32,
    behind: Layers<'m>,
}

impl<'m> Pass<'m> {
    /// Brings `source` into the buffers, for the first of the layers.
    pub(crate) fn begin(
        mut layers: Layers<'m>,
        source: &mut Source<'_>,
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<Self, InferError> {
        let first = &layers.next(source.len());
        let layer = match first {
            Some(Ok(layer)) => layer,
            Some(Err(error)) => return Err((*error).into()), // as a whole: see `Model::elbo_by`
            None => return Err(LoadError::Shape { expected: 1, found: 0 }.into()),
        };
        let exponent = layer.load(source, buffers.vector, LayerBuffers::chunk(buffers.hidden)?.0)?;
        let mut pass = Self { layer: Layer::EMPTY, exponent, behind: layers };
        pass.layer.become_like(layer);
        Ok(pass)
    }

    /// The records behind the last layer, once it is the one that is left.
    pub(crate) fn behind(&self) -> Records<'m> {
        self.behind.records
    }

    /// Runs a hidden layer; false where only the last layer is left.
    pub(crate) fn advance(&mut self, buffers: &mut LayerBuffers<'_>) -> Result<bool, InferError> {
        let LayerBuffers { vector, hidden } = buffers;
        if self.behind.remaining == 0 {
            return Ok(false);
        }
        let (needed, found) = (padded_rows(self.layer.rows), hidden.len());
        let room = hidden.get_mut(..needed).ok_or(InferError::ScratchTooSmall { needed, found })?;
        let misfit = LoadError::Shape { expected: self.layer.rows, found: 0 };
        let outputs = self.layer.run(vector, self.exponent, 0, bytemuck::cast_slice_mut(room)).ok_or(misfit)?;
        match &self.behind.next(self.layer.rows) {
            Some(Ok(layer)) => self.layer.become_like(layer),
            Some(Err(error)) => return Err((*error).into()), // as a whole: see `Model::elbo_by`
            None => return Ok(false),
        }
        self.exponent = self.layer.load_outputs(outputs, vector)?;
        Ok(true)
    }

    /// Runs the layers that are left and gives the last one's outputs to `emit`, chunk by chunk, each with its first row.
    pub(crate) fn finish(&mut self, buffers: &mut LayerBuffers<'_>, emit: Emit<'_>) -> Result<(), InferError> {
        while self.advance(buffers)? {}
        let LayerBuffers { vector, hidden } = buffers;
        let Self { layer, exponent, .. } = &*self;
        let (chunk, room) = LayerBuffers::chunk(hidden)?;
        let room: &mut [i32] = bytemuck::cast_slice_mut(room);
        let mut start = 0; // not `step_by`, which divides: see `row_blocks`
        while start < layer.rows {
            let misfit = LoadError::Shape { expected: layer.rows, found: start };
            let rows = room.get_mut(..CHUNK.min(padded_rows(layer.rows - start)));
            let outputs = rows.and_then(|rows| layer.run(vector, *exponent, start, rows));
            outputs.and_then(|outputs| emit(start, outputs, chunk)).ok_or(misfit)?;
            start += CHUNK;
        }
        Ok(())
    }
}
