//! The caller's working memory.

use crate::{
    format::size::{CHUNK, hidden_len},
    model::Model,
    network::error::InferError,
};

/// Working memory for one model at a time, over a buffer of the caller.
///
/// It carries nothing from one call to the next: any buffer of [`Model::scratch_len`] values serves any call.
#[derive(Debug)]
pub struct Scratch<'b> {
    buffer: &'b mut [f32],
}

/// What the buffer is divided into.
pub(crate) struct Buffers<'s> {
    /// `[posterior_len]`: the posterior's parameters, as [`crate::Posterior`] reads them.
    pub(crate) posterior: &'s mut [f32],
    /// `[latent]`: a sample.
    pub(crate) latent: &'s mut [f32],
    pub(crate) layers: LayerBuffers<'s>,
}

/// What a half of the network runs in.
pub(crate) struct LayerBuffers<'s> {
    /// `[vector_len]`: a layer's input, as its kernel reads it.
    pub(crate) vector: &'s mut [f32],
    /// `[hidden_len]`: a hidden layer's output. Where that is not needed, while the first layer's input is loaded and the last
    /// layer runs, a chunk of standardised features and one of outputs.
    pub(crate) hidden: &'s mut [f32],
}

impl LayerBuffers<'_> {
    /// A chunk, and what is behind it.
    pub(crate) fn chunk(hidden: &mut [f32]) -> Result<(&mut [f32; CHUNK], &mut [f32]), InferError> {
        let (needed, found) = (hidden_len(0), hidden.len());
        hidden.split_first_chunk_mut().ok_or(InferError::ScratchTooSmall { needed, found })
    }
}

impl<'b> Scratch<'b> {
    /// Wraps `buffer`; its contents do not matter. Its length is checked by each call that uses it.
    pub const fn new(buffer: &'b mut [f32]) -> Self {
        Self { buffer }
    }

    pub(crate) fn split(&mut self, model: &Model<'_>) -> Result<Buffers<'_>, InferError> {
        let error = InferError::ScratchTooSmall { needed: model.scratch_len(), found: self.buffer.len() };
        let sizes = model.prelude();
        let (posterior, rest) = self.buffer.split_at_mut_checked(sizes.posterior_len as usize).ok_or(error)?;
        let (latent, rest) = rest.split_at_mut_checked(sizes.latent as usize).ok_or(error)?;
        let (vector, rest) = rest.split_at_mut_checked(sizes.vector_len as usize).ok_or(error)?;
        let (hidden, _) = rest.split_at_mut_checked(sizes.hidden_len as usize).ok_or(error)?;
        Ok(Buffers { posterior, latent, layers: LayerBuffers { vector, hidden } })
    }
}
