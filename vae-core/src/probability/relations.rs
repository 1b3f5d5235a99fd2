//! How the features of a window go together.

use crate::{
    format::{
        error::LoadError,
        record::{MAX_MIXED_INPUTS, RELATION_CONSTANTS},
        size::CHUNK,
    },
    network::{
        error::InferError,
        input::Source,
        layer::Outputs,
        pass::{Layers, Pass},
        scratch::LayerBuffers,
    },
    probability::{input_mixture::InputMixture, range::Range, squares::Squares},
};

/// What judges features together, beside the layer behind the decoder's: see [`RELATION_CONSTANTS`].
///
/// Its log-densities are shifted when the model is fitted: on normal windows they are about what the decoder's independent features come to, so that
/// the least is far below that only where one of them sees what is not normal.
#[derive(Clone, Copy)]
pub(crate) struct Relations<'m> {
    pub(crate) range: Range<'m>,
    offset: f32,
    pub(crate) ceiling: f32,
    /// Whether differences are from the mean, and not from the reconstruction.
    pub(crate) of_inputs: bool,
    pub(crate) mixture: InputMixture<'m>,
}

impl<'m> Relations<'m> {
    /// Those of so many features, from what the file has behind their other constants.
    pub(crate) fn read(constants: &'m [f32], features: usize) -> Result<Self, LoadError> {
        let misfit = LoadError::Shape { expected: 2 * features + RELATION_CONSTANTS, found: constants.len() };
        let (least, rest) = constants.split_at_checked(features).ok_or(misfit)?;
        let (largest, rest) = rest.split_at_checked(features).ok_or(misfit)?;
        let ([outside, offset, ceiling, of_inputs], values) =
            rest.split_first_chunk::<RELATION_CONSTANTS>().ok_or(misfit)?;
        Ok(Self {
            range: Range { least, largest, outside: *outside },
            offset: *offset,
            ceiling: *ceiling,
            of_inputs: *of_inputs != 0.0,
            mixture: InputMixture { features, values: if features <= MAX_MIXED_INPUTS { values } else { &[] } },
        })
    }

    /// `Σ ln p(rⱼ | all others)` of the differences `r`, in the likelihood's standard deviations; in nats.
    ///
    /// # Source
    /// Besag (1975), *Statistical analysis of non-lattice data*: the pseudo-likelihood. For a Gaussian of precision `P` its terms are
    /// `½ ln Pⱼⱼ/2π − ½ (P r)ⱼ²/Pⱼⱼ` (Lauritzen 1996, *Graphical Models*, section 5.1).
    pub(crate) fn nats(&self, layer: Layers<'_>, r: &[f32], buffers: &mut LayerBuffers<'_>) -> Result<f32, InferError> {
        let mut squares = Squares::default();
        given_others(layer, r, buffers, &mut |_, outputs, zeros| squares.add(zeros, outputs, None))?;
        Ok(self.offset - squares.half())
    }
}

/// Gives each feature and the nats that would be regained if it were what the others make expect of it.
pub(crate) fn costs_given_others(
    layer: Layers<'_>,
    r: &[f32],
    buffers: &mut LayerBuffers<'_>,
    each: &mut dyn FnMut(usize, f32),
) -> Result<(), InferError> {
    given_others(layer, r, buffers, &mut |start, outputs, _| {
        (start..).zip(outputs.numbers()).for_each(|(feature, off)| each(feature, 0.5 * off * off));
    })
}

/// Gives the layer's outputs to `emit`, chunk by chunk, each with its first feature and as many zeros.
fn given_others(
    layer: Layers<'_>,
    r: &[f32],
    buffers: &mut LayerBuffers<'_>,
    emit: &mut dyn FnMut(usize, Outputs<'_>, &mut [f32]),
) -> Result<(), InferError> {
    let mut pass = Pass::begin(layer, &mut Source::unconditional(r), buffers)?;
    pass.finish(buffers, &mut |start, outputs, chunk| {
        let zeros = chunk.get_mut(..CHUNK.min(r.len().saturating_sub(start)))?;
        zeros.fill(0.0);
        emit(start, outputs, zeros);
        Some(())
    })
}
