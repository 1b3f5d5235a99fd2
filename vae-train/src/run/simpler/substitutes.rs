//! What may stand in for a model: one Gaussian, and limits on each feature.

use std::f64::consts::TAU;

use crate::statistics::{density::Gaussian, moments::Moments};

/// Most features that a Gaussian is fitted to: its covariance has half their square, and of more would take more flash than the model.
const MOST_FEATURES: usize = 200;

/// A value in standardised units, or the mean in its place where it is missing.
fn observed(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value }
}

/// One Gaussian of the inputs that vary, and of the others, which do not tell anything, by themselves.
pub(crate) struct OneGaussian {
    all: Gaussian,
    /// Of the conditions alone, where there are any: a model's density is conditional on them.
    conditions: Option<Gaussian>,
    varying: Vec<usize>,
    features: usize,
    /// Log-density of what does not vary, at its mean, with the variances that the model has at least.
    constant: f64,
}

impl OneGaussian {
    /// Fits to standardised windows, each followed by its condition; `None` for very many features, or where it cannot be fitted.
    pub(crate) fn fit(windows: &[&[f32]], moments: &[Moments], floors: &[f32], inputs: usize) -> Option<Self> {
        let features = moments.len();
        let varying: Vec<usize> =
            (0..inputs).filter(|input| moments.get(*input).is_none_or(|moments| !moments.is_constant())).collect();
        if varying.len() > MOST_FEATURES {
            return None;
        }
        let fitted = |of: &[usize]| {
            let rows: Vec<f32> = windows.iter().flat_map(|window| of.iter().map(|at| observed(window[*at]))).collect();
            Gaussian::fit(&rows, of.len()).ok()
        };
        let conditions: Vec<usize> = (features..inputs).collect();
        let conditions = if conditions.is_empty() { None } else { Some(fitted(&conditions)?) };
        let constants = moments.iter().zip(floors).filter(|(moments, _)| moments.is_constant());
        let constant = constants.map(|(_, floor)| -0.5 * libm::log(TAU * f64::from(*floor))).sum();
        Some(Self { all: fitted(&varying)?, conditions, varying, features, constant })
    }

    /// `ln p(x | c)` of a standardised window, in nats.
    pub(crate) fn log_density(&self, window: &[f32]) -> f64 {
        let values: Vec<f32> = self.varying.iter().map(|at| observed(window[*at])).collect();
        let conditions = self.conditions.as_ref();
        let of_conditions = conditions.map_or(0.0, |conditions| conditions.log_density(&window[self.features..]));
        self.all.log_density(&values) - of_conditions + self.constant
    }
}

/// The largest distance of a feature from its mean, in its standard deviations; of one that does not vary, in its standardised unit.
pub(crate) fn farthest(window: &[f32], moments: &[Moments]) -> f64 {
    let distance = |(value, moments): (&f32, &Moments)| {
        let deviation = if moments.is_constant() { 1.0 } else { moments.deviation() };
        (f64::from(*value) - moments.mean).abs() / deviation
    };
    window.iter().zip(moments).map(distance).filter(|distance| !distance.is_nan()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gaussian_is_conditional_on_conditions_and_leaves_what_does_not_vary_by_itself() {
        // x = c + noise of variance 1/4, the noise independent of c: of four equally likely pairs.
        let rows = [[0.0f32, 1.5, 1.0], [0.0, 0.5, 1.0], [0.0, -0.5, -1.0], [0.0, -1.5, -1.0]];
        let windows: Vec<&[f32]> = rows.iter().map(|row| &row[..]).collect();
        let moments = Moments::of(windows.iter().map(|window| &window[..2]), 2);
        let gaussian = OneGaussian::fit(&windows, &moments, &[0.1, 0.01], 3).unwrap();
        let normal = |x: f64, variance: f64| -0.5 * (x * x / variance + (TAU * variance).ln());
        let exact = normal(0.7, 0.25) + normal(0.0, 0.1);
        let found = gaussian.log_density(&[0.0, 1.7, 1.0]);
        assert!((found - exact).abs() < 1e-4, "{found} for {exact}");
        // What was not observed is at its mean.
        let found = gaussian.log_density(&[f32::NAN, f32::NAN, 1.0]);
        assert!((found - normal(1.0, 0.25) - normal(0.0, 0.1)).abs() < 1e-4, "{found}");
    }

    #[test]
    fn limits_are_by_the_farthest_feature_in_its_own_deviations() {
        let rows = [[-1.0f32, -10.0, 0.0], [1.0, 10.0, 0.0]];
        let moments = Moments::of(rows.iter().map(|row| &row[..]), 3);
        assert!((farthest(&[2.0, -30.0, 0.5], &moments) - 3.0).abs() < 1e-12);
        assert!((farthest(&[f32::NAN, 0.0, 0.5], &moments) - 0.5).abs() < 1e-12);
    }
}
