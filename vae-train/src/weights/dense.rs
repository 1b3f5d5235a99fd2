//! Dense layers.

use serde::Serialize;
use vae_core::Activation;

/// A dense layer with `f32` weights.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub struct Dense {
    /// Applied to each output.
    pub activation: Activation,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// `[rows][columns]`
    pub weights: Vec<f32>,
    /// `[rows]`
    pub bias: Vec<f32>,
}
