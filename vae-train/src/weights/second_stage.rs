//! The second stage: a model of the latent vectors.

use crate::weights::dense::Dense;

/// The second stage's decoder, from its own latent vector to the first stage's.
#[derive(Clone, Debug, PartialEq)]
pub struct SecondStage {
    /// Its layers.
    pub decoder: Vec<Dense>,
    /// Standard deviation of `p(z|u)`, per latent dimension of the first stage.
    pub deviation: Vec<f32>,
}
