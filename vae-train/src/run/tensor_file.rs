//! A model for other programs: `f32` tensors and what they mean, in a safetensors file.

use std::{borrow::Cow, collections::HashMap};

use anyhow::{Context, Result};
use safetensors::{Dtype, tensor::TensorView};
use vae_core::format::{LikelihoodKind, PosteriorKind};

use crate::{
    data::front_end::{name, rate_of},
    file::model_file::ModelFile,
    weights::{dense::Dense, family::posterior_name, mixture::Mixture, relations::Relations},
};

/// Tensors with their names and shapes, and the metadata beside them.
#[derive(Default)]
struct Contents<'m> {
    tensors: Vec<(String, Vec<usize>, Cow<'m, [f32]>)>,
    metadata: HashMap<String, String>,
}

/// All that a score of the `f32` model needs, under the names that `vae-core/FORMAT.md` lists, as a safetensors file.
///
/// # Errors
/// If sizes contradict each other, or it cannot be serialised.
pub fn safetensors(file: &ModelFile) -> Result<Vec<u8>> {
    let mut contents = Contents::default();
    contents.layers("encoder", &file.encoder);
    contents.layers("decoder", &file.decoder);
    contents.standardisers(file);
    contents.distributions(file);
    if let Some(relations) = &file.relations {
        contents.relations(relations, file);
    }
    let calibration = file.calibration.array(file.channels.len())?;
    contents.tensor("calibration", &[calibration.len()], calibration);
    contents.describe(file);
    let Contents { tensors, metadata } = contents;
    let views = tensors.iter().map(|(name, shape, values)| {
        Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice::<f32, u8>(values))?))
    });
    safetensors::serialize(views.collect::<Result<Vec<_>>>()?, Some(metadata)).context("cannot serialise the weights")
}

impl<'m> Contents<'m> {
    fn tensor(&mut self, name: impl Into<String>, shape: &[usize], values: impl Into<Cow<'m, [f32]>>) {
        self.tensors.push((name.into(), shape.to_vec(), values.into()));
    }

    fn says(&mut self, name: impl Into<String>, value: impl ToString) {
        self.metadata.insert(name.into(), value.to_string());
    }

    fn layers(&mut self, half: &str, layers: &'m [Dense]) {
        for (index, Dense { activation, rows, columns, weights, bias }) in layers.iter().enumerate() {
            self.tensor(format!("{half}.{index}.weight"), &[*rows, *columns], weights);
            self.tensor(format!("{half}.{index}.bias"), &[*rows], bias);
            self.says(format!("{half}.{index}.activation"), format!("{activation:?}"));
        }
    }

    fn standardisers(&mut self, file: &'m ModelFile) {
        let ModelFile { mean, scale, conditions, condition_mean, condition_scale, .. } = file;
        self.tensor("standardiser.mean", &[mean.len()], mean);
        self.tensor("standardiser.scale", &[mean.len()], scale);
        if !conditions.is_empty() {
            self.tensor("condition.mean", &[conditions.len()], condition_mean);
            self.tensor("condition.scale", &[conditions.len()], condition_scale);
        }
    }

    /// Posterior, prior and likelihood.
    fn distributions(&mut self, file: &'m ModelFile) {
        self.says("posterior", posterior_name(file.posterior));
        if let PosteriorKind::Categorical { categories } = file.posterior {
            self.says("categories", categories);
        }
        self.says("log_variance_limit", vae_core::LOG_VARIANCE_LIMIT);
        self.says("latent_logit_limit", vae_core::LATENT_LOGIT_LIMIT);
        if let Some(Mixture { weight, mean, deviation }) = &file.prior {
            self.tensor("prior.weight", &[weight.len()], weight);
            self.tensor("prior.mean", &[weight.len(), file.latent], mean);
            self.tensor("prior.deviation", &[weight.len(), file.latent], deviation);
        }
        self.says("likelihood", format!("{:?}", file.likelihood));
        let outputs = match file.likelihood {
            LikelihoodKind::Bernoulli => "logits",
            LikelihoodKind::GaussianPredicted => "standardised means and log-variances, alternating",
            LikelihoodKind::GaussianCovariance(_) => {
                "standardised means, log-variances and loadings, feature by feature"
            }
            LikelihoodKind::GaussianFixed | LikelihoodKind::GaussianPerFeature => {
                self.tensor("likelihood.variance", &[file.mean.len()], &file.variance);
                "standardised means"
            }
            LikelihoodKind::Mixed => {
                let codes: Vec<f32> = file.families.iter().map(|family| family.code()).collect();
                self.tensor("likelihood.variance", &[file.mean.len()], &file.variance);
                self.tensor("likelihood.family", &[codes.len()], codes);
                "standardised means and logits"
            }
        };
        self.says("decoder.outputs", outputs);
        self.says("log_variance_bounds", format!("{} {}", file.log_variance_bounds.0, file.log_variance_bounds.1));
    }

    /// How features go together, as the model file has it.
    fn relations(&mut self, relations: &'m Relations, file: &ModelFile) {
        let Dense { rows, columns, weights, bias, .. } = &relations.given_others;
        self.tensor("relations.weight", &[*rows, *columns], weights);
        self.tensor("relations.bias", &[*rows], bias);
        let [least, largest] = relations.limits(&file.mean, &file.scale);
        self.tensor("relations.least", &[*rows], least);
        self.tensor("relations.largest", &[*rows], largest);
        let normaliser = file.log_normaliser();
        let components = relations.components();
        if components > 0 {
            let shape = [components, relations.mixture.len() / components];
            self.tensor("relations.mixture", &shape, relations.mixture_over(normaliser).collect::<Vec<_>>());
        }
        for (name, nats) in
            [("outside", relations.outside), ("offset", relations.offset), ("ceiling", relations.ceiling)]
        {
            self.says(format!("relations.{name}"), f64::from(nats) + normaliser);
        }
        self.says("relations.of_inputs", relations.of_inputs);
    }

    /// What a window is, and how a table becomes one.
    fn describe(&mut self, file: &ModelFile) {
        self.says("channels", file.channels.join("\n"));
        self.says("conditions", file.conditions.join("\n"));
        self.says("window", file.window);
        self.says("hop", file.hop);
        self.says("latent", file.latent);
        let origins = file.metrics.iter().filter_map(|line| line.strip_prefix("origin "));
        self.says("origins", origins.collect::<Vec<_>>().join("\n"));
        self.says("front_ends", file.front_ends.iter().map(|it| name(*it)).collect::<Vec<_>>().join("\n"));
        if let Some(rate) = rate_of(&file.front_ends) {
            self.says("rate", rate);
        }
    }
}
