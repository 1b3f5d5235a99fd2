//! The variational autoencoder that a file holds.

#[cfg(feature = "covariance")]
use crate::probability::covariance::Covariance;
use crate::{
    arithmetic::vector::Samples,
    format::{
        error::LoadError,
        feature::Feature,
        kind::{LikelihoodKind, PosteriorKind},
        record::{Header, NamedArray, RELATION_CONSTANTS, Records, SecondStage, all_values},
    },
    model::Model,
    network::{
        error::InferError,
        input::{Condition, First, Seen, Source},
        pass::{Layers, Pass},
        scratch::LayerBuffers,
        standardise::Standardiser,
    },
    probability::{likelihood::Likelihood, mixture::Mixture, posterior::Posterior, prior::Prior},
};
#[cfg(feature = "mixed")]
use crate::{format::kind::FeatureFamily, probability::mixed::Mixed};

/// The file's hot records: an encoder and a decoder, what they read, and the distributions that their outputs are parameters of.
#[derive(Clone, Copy)]
pub(crate) struct Vae<'m> {
    pub(crate) kind: PosteriorKind,
    /// The features' constants of relations, see [`Vae::relations`]. Empty where the file has none. They
    /// count for the score by which a window is judged; the ELBO and the log-likelihood are the model's own.
    pub(crate) beyond: &'m [f32],
    pub(crate) prior: Prior<'m>,
    pub(crate) standardiser: Standardiser<'m>,
    pub(crate) likelihood: Likelihood<'m>,
    pub(crate) encoder: Layers<'m>,
    pub(crate) decoder: Layers<'m>,
    pub(crate) condition: Condition<'m>,
}

/// What generation needs beside the network.
pub(crate) struct Extras<'m> {
    pub(crate) aggregate: Option<Mixture<'m>>,
    pub(crate) second_stage: Option<(SecondStage<'m>, Layers<'m>)>,
    pub(crate) attributes: Records<'m>,
}

/// A window that can be scored.
pub(crate) struct Observation<'a> {
    pub(crate) x: Samples<'a>,
    pub(crate) source: Source<'a>,
}

impl Observation<'_> {
    /// As if it had been encoded before, with what was found then.
    pub(crate) fn resumed(self, seen: Seen) -> Self {
        Self { source: self.source.resumed(seen), ..self }
    }

    /// What has been found out about it, once it is encoded.
    pub(crate) fn seen(&self) -> Seen {
        self.source.seen()
    }

    /// Brings it into the buffers, for the encoder's first layer.
    pub(crate) fn begin_encoding<'m>(
        &mut self,
        encoder: Layers<'m>,
        buffers: &mut LayerBuffers<'_>,
    ) -> Result<Pass<'m>, InferError> {
        Pass::begin(encoder, &mut self.source, buffers)
    }

    /// Features that are not observed, once it is encoded.
    pub(crate) fn missing(&self) -> u32 {
        self.seen().missing
    }
}

impl<'m> Vae<'m> {
    /// Reads a file's hot records; `verify` finds every fault that this can return.
    pub(crate) fn of(model: &Model<'m>) -> Result<Self, LoadError> {
        // In place: what a function returns would be copied, by one that is larger than this.
        let mut cursor = model.cursor();
        let header = Header::take(&mut cursor);
        let encoder = Records(cursor.end(model.body().len())?);
        let (latent, features) = (model.latent(), model.features());
        let arrays = header.likelihood.feature_arrays();
        let mut rest = all_values(header.features)?;
        let misfit = LoadError::Shape { expected: arrays * features, found: rest.len() };
        let mut constants = || {
            let (own, behind) = rest.split_at_checked(features).ok_or(misfit)?;
            rest = behind;
            Ok::<_, LoadError>(own)
        };
        let standardiser = Standardiser { mean: constants()?, inverse_scale: constants()? };
        let (condition, prior) = conditions_and_prior(model, &header)?;
        let likelihood = match header.likelihood {
            #[cfg(feature = "families")]
            LikelihoodKind::Bernoulli => Likelihood::Bernoulli(()),
            LikelihoodKind::GaussianFixed | LikelihoodKind::GaussianPerFeature => Likelihood::Gaussian {
                standardiser: Standardiser { mean: standardiser.mean, inverse_scale: constants()? },
                log_normaliser: constants()?,
                log_normaliser_sum: header.log_normaliser_sum,
            },
            #[cfg(feature = "families")]
            LikelihoodKind::GaussianPredicted => Likelihood::Predicted {
                standardiser,
                log_normaliser: constants()?,
                bounds: header.log_variance_bounds,
                _has: (),
            },
            #[cfg(feature = "mixed")]
            LikelihoodKind::Mixed => Likelihood::Mixed(Mixed {
                standardiser: Standardiser { mean: standardiser.mean, inverse_scale: constants()? },
                log_normaliser: constants()?,
                families: constants()?,
            }),
            #[cfg(all(feature = "covariance", not(feature = "mixed")))]
            LikelihoodKind::Mixed => return Err(LoadError::NeedsFeature { feature: Feature::Mixed }),
            #[cfg(not(feature = "families"))]
            _ => return Err(LoadError::NeedsFeature { feature: Feature::Families }),
            #[cfg(feature = "covariance")]
            LikelihoodKind::GaussianCovariance(rank) => {
                Likelihood::Covariance(Covariance::new(rank, standardiser, constants()?, header.log_variance_bounds)?)
            }
        };
        if !rest.is_empty() && !Feature::Relations.is_here() {
            return Err(LoadError::NeedsFeature { feature: Feature::Relations });
        }
        if !rest.is_empty() && (arrays != 4 || rest.len() < 2 * features + RELATION_CONSTANTS) {
            return Err(misfit);
        }
        Ok(Self {
            standardiser,
            condition,
            likelihood,
            beyond: rest,
            encoder: Layers::new(encoder, header.precision, header.encoder_layers, header.posterior.parameters(latent)),
            decoder: Layers::new(
                model.records_at(model.prelude().decoder_at)?,
                header.precision,
                header.decoder_layers,
                header.likelihood.parameters(features),
            ),
            kind: header.posterior,
            prior: if prior.parameters.is_empty() { Prior::standard(header.posterior) } else { Prior::learned(prior)? },
        })
    }

    /// Refuses an input that cannot be scored; infinite values are found by `encode`.
    pub(crate) fn observe<'a>(&'a self, x: Samples<'a>) -> Result<Observation<'a>, InferError> {
        self.check_condition()?;
        let (needed, found) = (self.standardiser.mean.len(), x.len());
        if needed != found {
            return Err(InferError::WrongLength { needed, found });
        }
        self.likelihood.check(x)?;
        Ok(Observation { x, source: Source::new(First::Features(x, &self.standardiser), &self.condition) })
    }

    /// The same network with this condition, in physical units.
    pub(crate) fn given<'c>(self, values: &'c [f32]) -> Vae<'c>
    where
        'm: 'c,
    {
        Vae { condition: Condition { values, ..self.condition }, ..self }
    }

    /// Refuses a conditional model without its condition.
    pub(crate) fn check_condition(&self) -> Result<(), InferError> {
        let (needed, found) = (self.condition.standardiser.mean.len(), self.condition.values.len());
        if needed == found { Ok(()) } else { Err(InferError::WrongCondition { needed, found }) }
    }

    /// What the encoder has put out, as a distribution over so many latent dimensions.
    pub(crate) fn posterior<'s>(&self, latent: usize, parameters: &'s [f32]) -> Result<Posterior<'s>, InferError> {
        Posterior::from_parameters(self.kind, latent, parameters)
    }
}

/// What a model says of its condition, and its learned prior.
pub(crate) fn conditions_and_prior<'m>(
    model: &Model<'m>,
    header: &Header<'m>,
) -> Result<(Condition<'m>, Mixture<'m>), LoadError> {
    let all = all_values(header.conditions_and_prior)?;
    let error = LoadError::Shape { expected: 2 * model.conditions(), found: all.len() };
    let (mean, rest) = all.split_at_checked(model.conditions()).ok_or(error)?;
    let (inverse_scale, parameters) = rest.split_at_checked(model.conditions()).ok_or(error)?;
    let standardiser = Standardiser { mean, inverse_scale };
    let condition = Condition { values: model.condition(), standardiser };
    Ok((condition, Mixture { latent: model.latent(), parameters }))
}

impl<'m> Model<'m> {
    /// The conditional model `p(x|c)` for this condition `c`, in physical units, in the order of the card's names.
    ///
    /// Everything that is asked of the model that it returns is asked given `c`: `MODEL.given(&[speed])?.elbo_at_mean(…)`.
    ///
    /// # Errors
    /// [`InferError::WrongCondition`] or [`InferError::BadCondition`] (a condition is never missing).
    pub fn given<'c>(self, condition: &'c [f32]) -> Result<Model<'c>, InferError>
    where
        'm: 'c,
    {
        self.check_condition(condition)?;
        Ok(self.with_condition(condition))
    }

    /// Refuses what is no condition of this model.
    pub(crate) fn check_condition(&self, condition: &[f32]) -> Result<(), InferError> {
        let (needed, found) = (self.conditions(), condition.len());
        if needed != found {
            return Err(InferError::WrongCondition { needed, found });
        }
        match condition.iter().position(|value| !value.is_finite()) {
            Some(condition) => Err(InferError::BadCondition { condition }),
            None => Ok(()),
        }
    }

    /// Per feature the mean, in the input's units, and what multiplies the difference from it: `(mean, inverse scale)`.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn standardiser(&self) -> Result<(&'m [f32], &'m [f32]), LoadError> {
        let Standardiser { mean, inverse_scale } = Vae::of(self)?.standardiser;
        Ok((mean, inverse_scale))
    }

    /// The family of each feature, of a model whose features have families of their own; else none.
    ///
    /// # Errors
    /// If the file is faulty.
    #[cfg(feature = "mixed")]
    pub fn families(&self) -> Result<impl Iterator<Item = FeatureFamily> + use<'m>, LoadError> {
        let codes = match Vae::of(self)?.likelihood {
            Likelihood::Mixed(mixed) => mixed.families,
            _ => &[],
        };
        Ok(codes.iter().filter_map(|code| FeatureFamily::of_code(*code)))
    }

    /// Components of the learned prior; 0 for a model with the standard one.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn prior_components(&self) -> Result<usize, LoadError> {
        Ok(conditions_and_prior(self, &self.header()?)?.1.components().count())
    }

    /// The file's records between layers and golden vectors.
    pub(crate) fn extras(&self) -> Result<Extras<'m>, LoadError> {
        let (header, mut records) = (self.header()?, self.records_at(self.prelude().extras_at)?);
        records.read(NamedArray::take)?; // the calibration
        let mut aggregate = None;
        if header.mixture_components > 0 {
            let NamedArray { array, .. } = records.read(NamedArray::take)?;
            aggregate = Some(Mixture::read(array, self.latent())?);
        }
        let mut second_stage = None;
        if header.second_stage_layers > 0 {
            let stage = records.read(SecondStage::take)?;
            let mut layers = self.second_stage(&header, records);
            second_stage = Some((stage, layers));
            let mut width = stage.inputs as usize;
            while let Some(layer) = layers.next(width) {
                width = layer?.rows;
            }
            records = layers.records;
        }
        Ok(Extras { aggregate, second_stage, attributes: records })
    }

    /// The layers of the second stage, whose records these are.
    pub(crate) fn second_stage(&self, header: &Header<'_>, records: Records<'m>) -> Layers<'m> {
        Layers::new(records, header.precision, header.second_stage_layers, self.latent())
    }
}
