//! Which latent dimensions a model uses.

/// A latent dimension is active if its posterior mean varies by more than this over the data.
const ACTIVE: f64 = 0.01;

/// A posterior that lies fewer nats than this from the prior, in the mean over the data, tells nothing, although its means may vary by more.
const LEAST_TOLD: f64 = 0.05;

/// Number of latent dimensions whose posterior mean varies over the data by more than 0.01; none where all together tell less than 0.05 nats.
///
/// `means` holds `latent` values a window; where they are probabilities, of zeros and ones, they count on the scale of ±1. `kl` is the mean KL
/// of the posterior to the prior.
///
/// # Source
/// Burda, Grosse & Salakhutdinov (2016), section 5.
#[must_use]
pub fn active_units(means: &[f32], latent: usize, is_probability: bool, kl: f64) -> usize {
    if kl < LEAST_TOLD {
        return 0;
    }
    let scale = if is_probability { 2.0 } else { 1.0 };
    let windows = (means.len() / latent) as f64;
    let active = |axis: &usize| {
        let values = || means.iter().skip(*axis).step_by(latent).map(|mean| scale * f64::from(*mean));
        let centre = values().sum::<f64>() / windows;
        values().map(|v| (v - centre).powi(2)).sum::<f64>() / windows > ACTIVE
    };
    (0..latent).filter(active).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dimension_in_use_varies_and_all_together_tell_something() {
        // Variances of the two dimensions: 0.0225 and 0.0064; on the scale of ±1 0.09 and 0.0256.
        let means = [0.15, 0.58, -0.15, 0.42];
        for (is_probability, kl, expected) in [(false, 1.0, 1), (true, 1.0, 2), (false, 0.04, 0), (true, 0.04, 0)] {
            assert_eq!(active_units(&means, 2, is_probability, kl), expected, "{is_probability}, {kl}");
        }
    }
}
