//! The log-likelihood of features that vary together, and its derivatives, window by window.

use nalgebra::{DMatrix, DVector};

use crate::cpu::kernel::{LN_TWO_PI, log_likelihood::Observations};

/// `ln N(x; μ, D + U Uᵀ)` of what is observed of each window, in nats, for rows of means, of log-variances, which are held within `bounds` and are D's,
/// and of the columns of U one behind the other; all of them become the derivatives with respect to them. In 64 bits.
///
/// # Source
/// Woodbury (1950): with `M = I + Uᵀ D⁻¹ U` and `w = M⁻¹ Uᵀ D⁻¹ (x − μ)`, the difference times the inverse covariance is
/// `D⁻¹ (x − μ − U w)`, and `|D + U Uᵀ| = |D| |M|`.
pub(crate) fn gaussian_covariance(output: &mut [f32], data: Observations<'_>, bounds: (f32, f32)) -> Vec<f32> {
    data.rows(
        output,
        |output, x| window(output, x, |_| 1.0, bounds).unwrap_or(f32::NAN),
        |output, x, m| window(output, x, |feature| f64::from(m[feature]), bounds).unwrap_or(f32::NAN),
    )
}

/// None where M is no number, as where the network has diverged.
fn window(output: &mut [f32], x: &[f32], weight: impl Fn(usize) -> f64, (low, high): (f32, f32)) -> Option<f32> {
    let features = x.len();
    let rank = output.len() / features - 2;
    let at = |output: &[f32], part: usize, feature: usize| f64::from(output[part * features + feature]);
    let loadings = |output: &[f32], feature: usize| DVector::from_fn(rank, |k, _| at(output, 2 + k, feature));
    let held = |output: &[f32], feature: usize| output[features + feature].clamp(low, high);
    let precision = |output: &[f32], feature: usize| weight(feature) * libm::exp(-f64::from(held(output, feature)));

    let (mut product, mut projected) = (DMatrix::identity(rank, rank), DVector::zeros(rank));
    for (feature, x) in x.iter().enumerate() {
        let (u, p) = (loadings(output, feature), precision(output, feature));
        product.ger(p, &u, &u, 1.0);
        projected.axpy(p * (f64::from(*x) - at(output, 0, feature)), &u, 1.0);
    }
    let factor = product.cholesky()?;
    let (w, covariance) = (factor.solve(&projected), factor.inverse());
    let log_determinant: f64 = factor.l_dirty().diagonal().iter().map(|l| 2.0 * libm::log(*l)).sum();
    let mut nats = -0.5 * (w.norm_squared() + log_determinant);
    for (feature, x) in x.iter().enumerate() {
        let (u, p, log_variance) = (loadings(output, feature), precision(output, feature), held(output, feature));
        let difference = f64::from(*x) - at(output, 0, feature) - u.dot(&w);
        let spread = &covariance * &u;
        nats -= 0.5 * (weight(feature) * f64::from(log_variance + LN_TWO_PI) + p * difference * difference);
        let mut set = |part: usize, derivative: f64| output[part * features + feature] = derivative as f32;
        set(0, p * difference);
        (0..rank).for_each(|k| set(2 + k, p * (difference * w[k] - spread[k])));
        let within = log_variance == output[features + feature];
        let by_variance = 0.5 * (p * (difference * difference + u.dot(&spread)) - weight(feature));
        output[features + feature] = if within { by_variance as f32 } else { 0.0 };
    }
    Some(nats as f32)
}
