//! Whether all that a file says is sound.

#[cfg(feature = "categorical")]
use crate::format::kind::PosteriorKind;
use crate::{
    format::{
        error::LoadError,
        prelude::Prelude,
        record::{GoldenVector, NamedArray, RawCard, Records, SecondStage, all_values, values},
        size::{CHUNK, hidden_len, vector_len},
    },
    inference::vae::Vae,
    model::Model,
    network::pass::Layers,
    probability::{likelihood::Likelihood, mixture::Mixture, prior::Prior},
};

impl Model<'_> {
    /// Checks everything that the file says: structure, sizes, alignment, ranges, and (again) the checksum, so that flash
    /// which decayed after the build is found too. Only its texts are not looked at, nor what [`Detector`](crate::Detector) asks of it beyond
    /// a score, which [`Detector::new`](crate::Detector::new) checks: that its front-ends make its features, among others.
    ///
    /// # Errors
    /// The first fault found. A model that passes never gives [`InferError::Model`](crate::InferError::Model), but by [`Self::extract`].
    #[inline(never)] // its frame must not stay on the stack while a window is scored
    pub fn verify(&self) -> Result<(), LoadError> {
        Prelude::parse(self.file())?;
        let (header, vae) = (self.header()?, Vae::of(self)?);
        let (latent, features) = (self.latent(), self.features());
        let mut checks = Checks { fault: Ok(()), vector: 0, hidden: 0 };
        let records = checks.layers(vae.encoder, features + self.conditions())?;
        checks.equal(self.prelude().decoder_at as usize, self.place(records));
        let mut records = checks.layers(vae.decoder, latent + self.conditions())?;
        if vae.is_related() {
            records = checks.layers(vae.decoder.one_more(records), features)?;
            // The differences lie behind what a last layer needs.
            checks.hidden = checks.hidden.max(2 * CHUNK + features);
        }
        checks.equal(self.prelude().extras_at as usize, self.place(records));

        let (low, high) = header.log_variance_bounds;
        checks.finite(&[low, high, header.log_normaliser_sum]);
        checks.sound(low <= high);
        checks.finite(all_values(header.features)?);
        checks.finite(all_values(header.conditions_and_prior)?);
        checks.positive(vae.standardiser.inverse_scale);
        checks.positive(vae.condition.standardiser.inverse_scale);
        if let Likelihood::Gaussian { standardiser, .. } | Likelihood::Predicted { standardiser, .. } = vae.likelihood {
            checks.positive(standardiser.inverse_scale);
        }
        #[cfg(feature = "mixed")]
        if let Likelihood::Mixed(mixed) = &vae.likelihood {
            checks.sound(!self.has_front_end());
            checks.positive(mixed.standardiser.inverse_scale);
            mixed.verify(&vae.standardiser, self.channels())?;
        }
        if let Prior::Mixture(_) = vae.prior {
            checks.sound(!header.posterior.is_discrete());
        }
        #[cfg(feature = "categorical")]
        if let PosteriorKind::Categorical { categories } = header.posterior {
            checks.sound(categories > 0 && latent.is_multiple_of(categories as usize));
        }
        let NamedArray { array, .. } = records.read()?;
        checks.finite(all_values(array)?);
        if header.mixture_components > 0 {
            let NamedArray { array, .. } = records.read()?;
            checks.finite(Mixture::read(array, latent)?.parameters);
        }
        if header.second_stage_layers > 0 {
            let stage: SecondStage<'_> = records.read()?;
            let deviation = values(stage.deviation, latent)?;
            checks.finite(deviation);
            checks.positive(deviation);
            let inputs = stage.inputs as usize;
            checks.sound((1..=latent).contains(&inputs) || inputs == latent + self.conditions());
            records = checks.layers(self.second_stage(&header, records), inputs)?;
        }
        for _ in 0..header.attributes {
            let NamedArray { array, .. } = records.read()?;
            checks.finite(values(array, latent)?);
        }
        checks.equal(self.prelude().golden_at as usize, self.place(records));
        for _ in 0..header.golden_vectors {
            let golden: GoldenVector<'_> = records.read()?;
            values::<f32>(golden.input, features + self.conditions())?;
        }
        let card: RawCard<'_> = records.read()?;
        checks.equal(self.channels(), lines(card.channels));
        checks.equal(self.conditions(), lines(card.conditions));
        checks.equal(self.prelude().vector_len as usize, checks.vector);
        checks.equal(self.prelude().hidden_len as usize, checks.hidden);
        checks.equal(self.prelude().posterior_len as usize, header.posterior.parameters(latent));
        checks.equal(0, records.0.len());
        checks.fault
    }
}

/// Lines of a text: the last has no end, and an empty text no lines.
fn lines(text: &[u8]) -> usize {
    let ends = text.iter().filter(|byte| **byte == b'\n').count();
    if text.is_empty() { 0 } else { ends + 1 }
}

/// The first fault found, and the scratch that layers need.
struct Checks {
    fault: Result<(), LoadError>,
    vector: usize,
    hidden: usize,
}

// Not inlined: each is called many times, and the loader's size counts on a device.
impl Checks {
    #[inline(never)]
    fn equal(&mut self, expected: usize, found: usize) {
        if expected != found {
            self.fault = self.fault.and(Err(LoadError::Shape { expected, found }));
        }
    }

    #[inline(never)]
    fn sound(&mut self, sound: bool) {
        if !sound {
            self.fault = self.fault.and(Err(LoadError::Value));
        }
    }

    #[inline(never)]
    fn finite(&mut self, values: &[f32]) {
        self.sound(values.iter().all(|value| value.is_finite()));
    }

    #[inline(never)]
    fn positive(&mut self, values: &[f32]) {
        self.sound(values.iter().all(|value| *value > 0.0));
    }

    /// Checks layers that begin with so many inputs; returns the records behind them.
    #[inline(never)]
    fn layers<'m>(&mut self, mut layers: Layers<'m>, mut width: usize) -> Result<Records<'m>, LoadError> {
        let mut hidden = hidden_len(0);
        self.sound(layers.remaining > 0);
        while let Some(layer) = layers.next(width) {
            let layer = layer?;
            let (slope, weights, bias) = layer.numbers();
            self.sound(slope.is_finite());
            self.finite(weights);
            self.finite(bias);
            self.hidden = self.hidden.max(hidden);
            self.vector = self.vector.max(vector_len(layers.precision, layer.columns));
            width = layer.rows;
            hidden = hidden_len(width);
        }
        Ok(layers.records)
    }
}
