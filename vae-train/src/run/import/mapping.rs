//! Which tensor of a safetensors file is what, as a TOML file says it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::{weights::family::HiddenActivation, words::input::read_text};

/// Which tensor of a safetensors file is what, as a TOML file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Names of the channels, in the order of the model's inputs.
    pub channels: Option<Vec<String>>,
    /// Samples in a window; 1 for a model of rows.
    #[serde(default = "one")]
    pub window: usize,
    /// Samples between the starts of successive windows; half a window, if not given.
    pub(super) hop: Option<usize>,
    /// Whether a window's inputs are channel after channel, instead of sample after sample.
    #[serde(default)]
    pub(super) channels_first: bool,
    /// Whether weights are `[inputs, outputs]`, as Keras has them, instead of `[outputs, inputs]`.
    #[serde(default)]
    pub(super) transposed: bool,
    #[serde(default)]
    pub(super) standardise: Standardise,
    pub(super) encoder: Encoder,
    pub(super) decoder: Decoder,
}

fn one() -> usize {
    1
}

/// What is done to the inputs before the encoder sees them: `(x − mean) / scale`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Standardise {
    pub(super) mean: Option<Values>,
    pub(super) scale: Option<Values>,
    /// Of which the scale is the root.
    pub(super) variance: Option<Values>,
}

/// Constants: one for all features, one for each channel or each feature, or the tensor of this name.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a number, a list of numbers, or the name of a tensor")]
pub(super) enum Values {
    One(f64),
    Each(Vec<f64>),
    Tensor(String),
}

/// Heads: `mean` and one of `log_variance` and `log_scale`, or both in one layer, the means first.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Encoder {
    #[serde(default)]
    pub(super) layers: Vec<Layer>,
    pub(super) mean: Option<Linear>,
    pub(super) log_variance: Option<Linear>,
    pub(super) log_scale: Option<Linear>,
    pub(super) mean_and_log_variance: Option<Linear>,
    pub(super) mean_and_log_scale: Option<Linear>,
}

/// Outputs: `logits` or `probabilities` of a Bernoulli likelihood; else those of a Gaussian one, whose spread is either constants or,
/// if it is predicted, a layer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Decoder {
    #[serde(default)]
    pub(super) layers: Vec<Layer>,
    pub(super) logits: Option<Linear>,
    /// The layer before a sigmoid.
    pub(super) probabilities: Option<Linear>,
    pub(super) mean: Option<Linear>,
    pub(super) variance: Option<Values>,
    pub(super) scale: Option<Values>,
    pub(super) log_variance: Option<Spread>,
    pub(super) log_scale: Option<Spread>,
    pub(super) mean_and_log_variance: Option<Linear>,
    pub(super) mean_and_log_scale: Option<Linear>,
    /// A predicted log-variance is limited to the range between these.
    pub(super) log_variance_bounds: Option<(f32, f32)>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a number, a list of numbers, the name of a tensor, or a layer { weight = …, bias = … }")]
pub(super) enum Spread {
    Constant(Values),
    Predicted(Linear),
}

/// A hidden layer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    pub(super) weight: String,
    pub(super) bias: Option<String>,
    pub(super) norm: Option<Norm>,
    pub(super) activation: HiddenActivation,
    /// Of a leaky ReLU.
    pub(super) slope: Option<f32>,
}

/// A layer without activation.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Linear {
    pub(super) weight: String,
    pub(super) bias: Option<String>,
}

/// A batch normalisation between a layer's products and its activation, by the moments that training left.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Norm {
    pub(super) weight: Option<String>,
    pub(super) bias: Option<String>,
    pub(super) mean: String,
    pub(super) variance: String,
    pub(super) epsilon: f64,
}

impl Mapping {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// If it cannot be read, or names something unknown.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let mapping: Self = toml::from_str(&text)
            .with_context(|| format!("{} is not a valid mapping (docs/import.md)", path.display()))?;
        ensure!(
            mapping.window > 0 && mapping.hop != Some(0),
            "{}: `window` and `hop` must be at least 1",
            path.display()
        );
        Ok(mapping)
    }
}
