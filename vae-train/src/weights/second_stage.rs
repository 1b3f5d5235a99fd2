//! The second stage: a model of the latent vectors.

use serde::{Deserialize, Serialize};

use crate::weights::dense::Dense;

/// The second stage's decoder, from its own latent vector to the first stage's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecondStage {
    /// Its layers. The first reads the stage's own latent vector, at most as long as the first stage's; or one as long as that and behind it the
    /// standardised condition of a conditional model.
    pub decoder: Vec<Dense>,
    /// Standard deviation of `p(z|u)`, per latent dimension of the first stage.
    pub deviation: Vec<f32>,
}
