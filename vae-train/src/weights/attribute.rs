//! Named directions in latent space.

use serde::Serialize;

/// A named direction in latent space.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
pub struct Attribute {
    /// What changes along it.
    pub name: String,
    /// One value per latent dimension.
    pub direction: Vec<f32>,
}
