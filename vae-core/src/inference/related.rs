//! What the features of a window come to together.

use crate::{
    arithmetic::vector::Samples,
    format::{
        error::LoadError,
        record::MAX_MIXED_INPUTS,
        size::{CHUNK, hidden_len},
    },
    inference::vae::{Observation, Vae},
    network::{error::InferError, input::Seen, pass::Pass, scratch::LayerBuffers, standardise::limited},
    probability::{
        input_mixture::InputMixture,
        likelihood::Likelihood,
        log_density::LogDensity,
        relations::{Relations, costs_given_others},
    },
};

/// What takes each feature and the nats that it costs, and the divergence from the prior that the ELBO loses.
pub(crate) struct Attribution<'e> {
    pub(crate) kl: f32,
    pub(crate) each: &'e mut dyn FnMut(usize, f32),
}

impl Vae<'_> {
    /// The rest of [`Self::log_conditional`], with what missing features would have added, and with the relations between features counted, if
    /// there are any and nothing is missing.
    pub(crate) fn finish_judged(
        &self,
        x: &Observation<'_>,
        pass: &mut Pass<'_>,
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<f32, InferError> {
        if self.is_related() && x.missing() == 0 {
            return Ok(self.relate(x.x, x.seen(), pass, buffers, None)?.0);
        }
        self.finish_log_conditional(x, pass, buffers)?.completed_nats()
    }

    /// The rest of [`Self::log_conditional`], for a window of which nothing is missing and a model with relations: the less of
    /// what its features say alone and each given the others. With an attribution, what each costs the least of these, the mixture of the
    /// input and what a window out of range has at most, unless that is what they say alone: false then, and nothing is given.
    pub(crate) fn relate(
        &self,
        x: Samples<'_>,
        seen: Seen,
        pass: &mut Pass<'_>,
        buffers: &mut LayerBuffers<'_>,
        attribution: Option<Attribution<'_>>,
    ) -> Result<(f32, bool), InferError> {
        while pass.advance(buffers)? {}
        let relations = self.relations()?;
        let layer = self.decoder.one_more(pass.behind());
        let (needed, found) = (hidden_len(0) + x.len(), buffers.hidden.len());
        let parts = buffers.hidden.get_mut(..needed).and_then(|hidden| hidden.split_at_mut_checked(hidden_len(0)));
        let (hidden, differences) = parts.ok_or(InferError::ScratchTooSmall { needed, found })?;
        let mut buffers = LayerBuffers { vector: buffers.vector, hidden };

        let mut density = LogDensity::new(&self.likelihood, x, seen);
        pass.finish(&mut buffers, &mut |start, outputs, chunk| {
            self.likelihood.differences(x, start, &outputs, chunk, differences)?;
            density.add(start, outputs, chunk)
        })?;
        if relations.of_inputs {
            self.differences_from_mean(x, LayerBuffers::chunk(buffers.hidden)?.0, differences)?;
        }
        let alone = density.nats()?;
        let bound = relations.nats(layer, differences, &mut buffers)?;
        let is_less = bound < alone;
        let least = if is_less { bound } else { alone };
        let nats = if relations.ceiling < least { relations.ceiling } else { least };
        if !nats.is_finite() {
            return Err(InferError::Overflow);
        }

        let Some(Attribution { kl, each }) = attribution else { return Ok((nats, true)) };
        let elbo = nats - kl;
        let Relations { range, mixture, .. } = relations;
        let nearest = self.nearest_below(elbo, &mixture, x)?;
        let least = nearest.map_or(elbo, |(_, nats)| nats);
        if range.cap(least, x) < least {
            range.outside_of(x).for_each(|feature| each(feature, least - range.outside));
        } else if let Some((component, _)) = nearest {
            let mut y = [0.0; MAX_MIXED_INPUTS];
            self.differences_from_mean(x, LayerBuffers::chunk(buffers.hidden)?.0, &mut y)?;
            mixture.costs(component, y.get(..x.len()).unwrap_or_default(), each);
        } else if is_less {
            costs_given_others(layer, differences, &mut buffers, each)?;
        } else {
            return Ok((nats, false));
        }
        Ok((nats, true))
    }

    /// A window's score; or what one outside the range of the training windows has at most, or the log-density of the mixture of the input, if
    /// there is one and nothing is missing: the least.
    pub(crate) fn capped(&self, nats: f32, x: &Observation<'_>) -> Result<f32, InferError> {
        if !self.is_related() {
            return Ok(nats);
        }
        let Relations { range, mixture, .. } = self.relations()?;
        let nats = range.cap(nats, x.x);
        let nearest = if x.missing() == 0 { self.nearest_below(nats, &mixture, x.x)? } else { None };
        Ok(nearest.map_or(nats, |(_, mixed)| mixed))
    }

    /// Whether features are judged together.
    pub(crate) fn is_related(&self) -> bool {
        cfg!(feature = "relations") && !self.beyond.is_empty()
    }

    /// What judges features together.
    pub(crate) fn relations(&self) -> Result<Relations<'_>, LoadError> {
        Relations::read(self.beyond, self.standardiser.mean.len())
    }

    /// The component of the mixture of the input that a window is likeliest under, and its log-density, where that is less than `limit`.
    #[inline(never)] // its frame must not stay on the stack while the network runs
    fn nearest_below(
        &self,
        limit: f32,
        mixture: &InputMixture<'_>,
        x: Samples<'_>,
    ) -> Result<Option<(usize, f32)>, InferError> {
        if mixture.values.is_empty() {
            return Ok(None);
        }
        let mut y = [0.0; MAX_MIXED_INPUTS];
        self.differences_from_mean(x, &mut [0.0; CHUNK], &mut y)?;
        Ok(mixture.nearest_below(limit, y.get(..x.len()).unwrap_or_default()))
    }

    /// Writes the window's differences from the mean, in the likelihood's standard deviations, as far as `y` has room.
    fn differences_from_mean(&self, x: Samples<'_>, chunk: &mut [f32; CHUNK], y: &mut [f32]) -> Result<(), LoadError> {
        let Likelihood::Gaussian { standardiser, .. } = &self.likelihood else { return Ok(()) };
        for (start, slots) in (0..x.len()).step_by(CHUNK).zip(y.chunks_mut(CHUNK)) {
            let misfit = LoadError::Shape { expected: x.len(), found: start };
            let values = standardiser.apply(x, start, chunk).ok_or(misfit)?;
            slots.iter_mut().zip(values).for_each(|(slot, value)| *slot = limited(*value));
        }
        Ok(())
    }
}
