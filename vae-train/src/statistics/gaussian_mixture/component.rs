//! One Gaussian of a mixture, and the densities of all.

use nalgebra::DMatrix;

/// A component whose density is below another's by a factor of e to this power counts as none: 1e-13.
pub(super) const NEGLIGIBLE: f64 = 30.0;

/// One Gaussian of a mixture, as a device computes it: its weighted log-density at `x` is `constant − ½ ‖U x − offset‖²`.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// `ln π + Σ ln U_ii − ½ d ln 2π` for the weight `π`, in nats.
    pub constant: f64,
    /// The lower triangle of `U = L⁻¹` row by row, row `i` with `i + 1` values: `L Lᵀ` is the covariance and `Uᵀ U` its inverse.
    pub factor: Vec<f64>,
    /// `U m` for the mean `m`.
    pub offset: Vec<f64>,
    /// The mean `m`.
    pub mean: Vec<f64>,
}

impl Component {
    /// `None` if the covariance has no Cholesky factor.
    pub(super) fn new(weight: f64, mean: Vec<f64>, covariance: DMatrix<f64>) -> Option<Self> {
        let features = mean.len();
        let inverse = &covariance.cholesky()?.l().solve_lower_triangular(&DMatrix::identity(features, features))?;
        let factor: Vec<f64> = (0..features).flat_map(|i| (0..=i).map(move |j| inverse[(i, j)])).collect();
        let offset = triangle(&factor).map(|row| dot(row, &mean)).collect();
        let normaliser =
            inverse.diagonal().map(libm::log).sum() - 0.5 * features as f64 * libm::log(std::f64::consts::TAU);
        Some(Self { constant: libm::log(weight) + normaliser, factor, offset, mean })
    }

    /// The rows of the lower triangle of `U`, of 1, 2, 3 … values.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        triangle(&self.factor)
    }

    /// `constant − ½ ‖U x − offset‖²`, or minus infinity where that is below `least`.
    pub(super) fn log_density<T: Copy + Into<f64>>(&self, x: &[T], least: f64) -> f64 {
        let mut log_density = self.constant;
        for (row, offset) in self.rows().zip(&self.offset) {
            let distance = dot(row, x) - offset;
            log_density -= 0.5 * distance * distance;
            if log_density < least {
                return f64::NEG_INFINITY;
            }
        }
        log_density
    }
}

/// Number of values in the lower triangle.
pub(super) fn triangle_len(features: usize) -> usize {
    features * (features + 1) / 2
}

/// The rows of a lower triangle that lie one after the other.
pub(super) fn triangle(mut values: &[f64]) -> impl Iterator<Item = &[f64]> {
    (1..).map_while(move |length| {
        let (row, after) = values.split_at_checked(length)?;
        values = after;
        Some(row)
    })
}

/// Of the values that both have.
fn dot<T: Copy + Into<f64>>(a: &[f64], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * (*b).into()).sum()
}

/// The logarithm of the sum of the components' densities at `x`; in `logarithms` those of each, minus infinity where it is negligible.
pub(super) fn log_densities<T: Copy + Into<f64>>(components: &[Component], x: &[T], logarithms: &mut [f64]) -> f64 {
    let mut largest = f64::NEG_INFINITY;
    for (logarithm, component) in logarithms.iter_mut().zip(components) {
        *logarithm = component.log_density(x, largest - NEGLIGIBLE);
        largest = largest.max(*logarithm);
    }
    let considered = logarithms.iter().filter(|logarithm| **logarithm > largest - NEGLIGIBLE);
    largest + libm::log(considered.map(|logarithm| libm::exp(logarithm - largest)).sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_its_gaussian() {
        // Covariance [[4, 1], [1, 0.5]]: determinant 1, inverse [[0.5, −1], [−1, 4]].
        let covariance = DMatrix::from_row_slice(2, 2, &[4.0, 1.0, 1.0, 0.5]);
        let component = Component::new(0.3, vec![1.0, -2.0], covariance).unwrap();
        for x in [[1.0f32, -2.0], [0.0, 0.0], [3.5, -1.0]] {
            let [a, b] = [f64::from(x[0]) - 1.0, f64::from(x[1]) + 2.0];
            let exact = 0.3f64.ln() - std::f64::consts::TAU.ln() - 0.5 * (0.5 * a * a - 2.0 * a * b + 4.0 * b * b);
            assert!((component.log_density(&x, f64::NEG_INFINITY) - exact).abs() < 1e-12);
            assert_eq!(component.log_density(&x, exact + 1e-9), f64::NEG_INFINITY);
        }
        // L = [[2, 0], [½, ½]].
        let expected = [0.5, -0.5, 2.0];
        assert!(component.factor.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12));
        assert_eq!(component.rows().map(<[f64]>::len).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(component.factor.len(), triangle_len(2));
    }

    #[test]
    fn a_covariance_that_is_none_is_refused() {
        let indefinite = DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 2.0, 1.0]);
        assert!(Component::new(1.0, vec![0.0; 2], indefinite).is_none());
    }
}
