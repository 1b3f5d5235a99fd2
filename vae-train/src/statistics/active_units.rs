//! Which latent dimensions a model uses.

/// A latent dimension is active if its posterior mean varies by more than this over the data.
const ACTIVE: f64 = 0.01;

/// Number of latent dimensions whose posterior mean varies over the data by more than 0.01; `means` holds `latent` values a
/// window.
///
/// # Source
/// Burda, Grosse & Salakhutdinov (2016), section 5.
#[must_use]
pub fn active_units(means: &[f32], latent: usize) -> usize {
    let windows = (means.len() / latent) as f64;
    let active = |axis: &usize| {
        let values = || means.iter().skip(*axis).step_by(latent).map(|mean| f64::from(*mean));
        let centre = values().sum::<f64>() / windows;
        values().map(|v| (v - centre).powi(2)).sum::<f64>() / windows > ACTIVE
    };
    (0..latent).filter(active).count()
}
