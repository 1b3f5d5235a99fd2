//! The last layers of encoder and decoder, as the core has them.

use anyhow::{Result, bail, ensure};
use vae_core::format::LikelihoodKind;

use crate::run::import::{
    mapping::{Decoder, Encoder, Linear, Spread, Values},
    tensors::{Affine, Tensors},
};

impl Encoder {
    /// Means and log-variances of the posterior.
    pub(super) fn heads(&self, tensors: &mut Tensors<'_>, inputs: Option<usize>) -> Result<(Affine, Affine)> {
        let Self { mean, log_variance, log_scale, mean_and_log_variance, mean_and_log_scale, .. } = self;
        let mut apart = |mean: &Linear, spread: &Linear| -> Result<(Affine, Affine)> {
            let mean = tensors.linear(mean, inputs, None)?;
            let spread = tensors.linear(spread, Some(mean.columns), Some(mean.bias.len()))?;
            Ok((mean, spread))
        };
        match (mean, log_variance, log_scale, mean_and_log_variance, mean_and_log_scale) {
            (Some(mean), Some(spread), None, None, None) => apart(mean, spread),
            (Some(mean), None, Some(spread), None, None) => apart(mean, spread).map(doubled),
            (None, None, None, Some(both), None) => tensors.halves(both, inputs, None),
            (None, None, None, None, Some(both)) => tensors.halves(both, inputs, None).map(doubled),
            _ => bail!(
                "encoder: give `mean` and one of `log_variance` and `log_scale`, or else `mean_and_log_variance` or \
                 `mean_and_log_scale`"
            ),
        }
    }
}

/// `ln σ² = 2 ln σ`
fn doubled((mean, mut spread): (Affine, Affine)) -> (Affine, Affine) {
    let rows = spread.bias.len();
    spread.then(&vec![2.0; rows], &vec![0.0; rows]);
    (mean, spread)
}

/// The decoder's last layer, and what its outputs mean.
pub(super) struct Outputs {
    pub(super) last: Affine,
    pub(super) likelihood: LikelihoodKind,
    /// Of each feature; 1 where it is not used.
    pub(super) variance: Vec<f64>,
}

impl Decoder {
    /// The last layer, from so many inputs to what a likelihood of `features` needs; `constants` reads a spread that is not predicted.
    pub(super) fn outputs(
        &self,
        tensors: &mut Tensors<'_>,
        inputs: usize,
        features: usize,
        constants: &impl Fn(&mut Tensors<'_>, &Values, &str) -> Result<Vec<f64>>,
    ) -> Result<Outputs> {
        self.check()?;
        let (inputs, outputs) = (Some(inputs), Some(features));
        let ones = vec![1.0; features];
        let bernoulli = |last| Outputs { last, likelihood: LikelihoodKind::Bernoulli, variance: ones.clone() };
        let predicted = |(mean, spread): (Affine, Affine)| Outputs {
            last: mean.stack(spread),
            likelihood: LikelihoodKind::GaussianPredicted,
            variance: ones.clone(),
        };
        if let Some(last) = self.logits.as_ref().or(self.probabilities.as_ref()) {
            return tensors.linear(last, inputs, outputs).map(bernoulli);
        }
        if let Some(both) = &self.mean_and_log_variance {
            return tensors.halves(both, inputs, outputs).map(predicted);
        }
        if let Some(both) = &self.mean_and_log_scale {
            return tensors.halves(both, inputs, outputs).map(doubled).map(predicted);
        }
        let Some(mean) = &self.mean else { bail!("decoder: no outputs are given") };
        let last = tensors.linear(mean, inputs, outputs)?;
        let (values, to_variance): (&Values, fn(f64) -> f64) =
            match (&self.variance, &self.scale, &self.log_variance, &self.log_scale) {
                (Some(variance), ..) => (variance, |variance| variance),
                (_, Some(scale), ..) => (scale, |scale| scale * scale),
                (_, _, Some(Spread::Constant(values)), _) => (values, libm::exp),
                (_, _, _, Some(Spread::Constant(values))) => (values, |value| libm::exp(2.0 * value)),
                (_, _, Some(Spread::Predicted(spread)), _) => {
                    return Ok(predicted((last, tensors.linear(spread, inputs, outputs)?)));
                }
                (_, _, _, Some(Spread::Predicted(spread))) => {
                    return Ok(predicted(doubled((last, tensors.linear(spread, inputs, outputs)?))));
                }
                (None, None, None, None) => bail!("decoder: no spread is given"),
            };
        let variance = constants(tensors, values, "the decoder's spread")?.into_iter().map(to_variance).collect();
        Ok(Outputs { last, likelihood: LikelihoodKind::GaussianPerFeature, variance })
    }

    /// Refuses outputs that are missing, or given twice.
    fn check(&self) -> Result<()> {
        let given = [
            self.logits.is_some(),
            self.probabilities.is_some(),
            self.mean.is_some(),
            self.mean_and_log_variance.is_some(),
            self.mean_and_log_scale.is_some(),
        ];
        ensure!(
            given.into_iter().filter(|given| *given).count() == 1,
            "decoder: give one of `logits`, `probabilities`, `mean`, `mean_and_log_variance` and `mean_and_log_scale`"
        );
        let spreads =
            [self.variance.is_some(), self.scale.is_some(), self.log_variance.is_some(), self.log_scale.is_some()];
        ensure!(
            spreads.into_iter().filter(|given| *given).count() == usize::from(self.mean.is_some()),
            "decoder: with `mean`, and only with it, give one of `variance`, `scale`, `log_variance` and `log_scale`"
        );
        Ok(())
    }
}
