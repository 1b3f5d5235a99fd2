//! New windows: from the prior and what replaces it, and along named attributes.

use rand_core::Rng;

use crate::{
    arithmetic::{
        activation::sigmoid,
        random::{coin, standard_normal},
        vector::{AsVector, AsVectorMut},
    },
    format::{
        error::LoadError,
        record::{NamedArray, Records, values},
    },
    inference::vae::Vae,
    model::Model,
    network::{
        error::InferError,
        input::{First, Source},
        pass::Pass,
        scratch::Scratch,
    },
    probability::likelihood::Likelihood,
};

impl<'m> Model<'m> {
    /// Draws `z` from the prior `p(z)` into `z`: the learned mixture, `N(0, I)`, or for discrete latents fair coins
    /// or categories of which each is as likely as the others.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if `z` has not [`Self::latent`] values.
    ///
    /// # Source
    /// Seed text "Variational autoencoders", "Applications".
    pub fn sample_prior<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        z: &mut (impl AsVectorMut + ?Sized),
    ) -> Result<(), InferError> {
        let z = z.values_mut();
        self.fits_latent(z)?;
        Vae::of(self)?.prior.sample(rng, z)
    }

    /// Draws `z` from the aggregated posterior `(1/N) Σ q(z|xₙ)`, which the file holds as a small mixture, into `z`.
    ///
    /// # Errors
    /// [`InferError::Absent`] if the file holds none; [`InferError::WrongLength`].
    ///
    /// # Source
    /// Seed text "Variational autoencoders", "Applications"; Makhzani et al. (2015), *Adversarial Autoencoders*, section 2.
    pub fn sample_aggregate<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        z: &mut (impl AsVectorMut + ?Sized),
    ) -> Result<(), InferError> {
        let z = z.values_mut();
        self.fits_latent(z)?;
        self.extras()?.aggregate.ok_or(InferError::Absent)?.sample(rng, z)
    }

    /// Draws `z` from the second stage: `u ~ N(0, I)`, then `z ~ p(z|u)`, into `z`; in a conditional model `z ~ p(z|u, c)`, if the stage was
    /// trained so.
    ///
    /// # Errors
    /// [`InferError::Absent`] if the file holds none, [`InferError::WrongCondition`] if it asks for a condition that was not given; see
    /// [`InferError`].
    ///
    /// # Source
    /// Dai & Wipf (2019), *Diagnosing and Enhancing VAE Models*, section 4.
    pub fn sample_second_stage<R: Rng + ?Sized>(
        &self,
        rng: &mut R,
        z: &mut (impl AsVectorMut + ?Sized),
        scratch: &mut Scratch<'_>,
    ) -> Result<(), InferError> {
        let z = z.values_mut();
        self.fits_latent(z)?;
        let (stage, layers) = self.extras()?.second_stage.ok_or(InferError::Absent)?;
        let deviations: &[f32] = values(stage.deviation, z.len())?;
        let vae = Vae::of(self)?;
        let mut buffers = scratch.split(self)?;
        let (inputs, found) = (stage.inputs as usize, buffers.latent.len());
        let is_conditional = inputs > z.len();
        let needed = inputs.min(z.len());
        let u = buffers.latent.get_mut(..needed).ok_or(LoadError::Shape { expected: found, found: needed })?;
        for u in u.iter_mut() {
            *u = standard_normal(rng);
        }
        let mut slots = z.iter_mut();
        let mut source = if is_conditional {
            vae.check_condition()?;
            Source::new(First::Latent(u), &vae.condition)
        } else {
            Source::unconditional(u)
        };
        let pass = Pass::begin(layers, &mut source, &mut buffers.layers)?;
        pass.finish(&mut buffers.layers, &mut |_, outputs, _| {
            for (mean, slot) in outputs.numbers().iter().zip(&mut slots) {
                *slot = *mean;
            }
            Some(())
        })?;
        for (z, deviation) in z.iter_mut().zip(deviations) {
            *z += deviation * standard_normal(rng);
        }
        Ok(())
    }

    /// Decodes `z` and draws a window from `p(x|z)` into `x`, in physical units; of a column of categories one is 1 and the others are 0.
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn decode_sample<R: Rng + ?Sized>(
        &self,
        z: &(impl AsVector + ?Sized),
        rng: &mut R,
        x: &mut (impl AsVectorMut + ?Sized),
        scratch: &mut Scratch<'_>,
    ) -> Result<(), InferError> {
        let x = x.values_mut();
        self.decode_with(z.as_vector(), x, scratch, &mut |likelihood, output, deviation| match likelihood {
            Likelihood::Bernoulli => coin(sigmoid(output), rng),
            _ => output + deviation * standard_normal(rng),
        })?;
        #[cfg(feature = "mixed")]
        if let Likelihood::Mixed(mixed) = Vae::of(self)?.likelihood {
            mixed.draw(x, rng);
        }
        Ok(())
    }

    /// The named directions in latent space that the file holds.
    ///
    /// # Errors
    /// If the file is faulty; the iterator's items likewise.
    pub fn attributes(
        &self,
    ) -> Result<impl Iterator<Item = Result<(&'m str, &'m [f32]), LoadError>> + use<'m>, LoadError> {
        let latent = self.latent();
        let records = self.extras()?.attributes;
        Ok(records.first(self.header()?.attributes, Records::read).map(move |record| {
            let NamedArray { name, array } = record?;
            let name = core::str::from_utf8(name).map_err(|_| LoadError::Value)?;
            Ok((name, values(array, latent)?))
        }))
    }

    /// Moves `z` by `amount` along the attribute `name`; 1 is the mean difference between windows with and without it.
    ///
    /// # Errors
    /// [`InferError::Absent`] if the file holds no such attribute; [`InferError::WrongLength`].
    ///
    /// # Source
    /// Seed text "Variational autoencoders", "Resynthesis"; White (2016), *Sampling Generative Networks*, section 4.
    pub fn move_along(&self, name: &str, amount: f32, z: &mut (impl AsVectorMut + ?Sized)) -> Result<(), InferError> {
        let z = z.values_mut();
        self.fits_latent(z)?;
        for attribute in self.attributes()? {
            let (found, direction) = attribute?;
            if found == name {
                for (z, step) in z.iter_mut().zip(direction) {
                    *z += amount * step;
                }
                return Ok(());
            }
        }
        Err(InferError::Absent)
    }
}
