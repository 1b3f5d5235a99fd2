//! A mixture of Gaussians with full covariances of the input itself.

use crate::format::record::{MAX_MIXED_INPUTS, input_mixture_len};

/// A mixture of Gaussians with full covariances of the input, as the file holds it: see
/// [`input_mixture_len`].
#[derive(Clone, Copy)]
pub(crate) struct InputMixture<'m> {
    pub(crate) features: usize,
    /// What is not a whole component is not read.
    pub(crate) values: &'m [f32],
}

impl<'m> InputMixture<'m> {
    fn components(&self) -> impl Iterator<Item = (f32, &'m [f32])> + use<'m> {
        let components = self.values.chunks_exact(input_mixture_len(self.features));
        components.filter_map(|values| values.split_first().map(|(constant, rows)| (*constant, rows)))
    }

    /// The component under which `y` is likeliest, and the log-density there, at most `ln` of their number below the mixture's; none where that is
    /// not less than `limit`. What `f32` cannot hold is [`f32::MIN`].
    pub(crate) fn nearest_below(&self, limit: f32, y: &[f32]) -> Option<(usize, f32)> {
        let mut best = (0, f32::MIN);
        for (index, (constant, rows)) in self.components().enumerate() {
            let mut nats = constant;
            for (_, off) in whitened(rows, y) {
                nats -= 0.5 * off * off;
                // The squares that are left only lower it.
                if nats <= best.1 {
                    break;
                }
            }
            if nats >= limit {
                return None;
            }
            if nats > best.1 {
                best = (index, nats);
            }
        }
        Some(best)
    }

    /// Gives each feature and the nats that a component would regain if the feature were what the others make expect of it: `½ gⱼ²/Pⱼⱼ` of the
    /// gradient `g = P (y − m)` and the precision `P = Uᵀ U`.
    pub(crate) fn costs(&self, component: usize, y: &[f32], each: &mut dyn FnMut(usize, f32)) {
        let (mut gradient, mut precision) = ([0.0; MAX_MIXED_INPUTS], [0.0; MAX_MIXED_INPUTS]);
        for (_, rows) in self.components().skip(component).take(1) {
            for (row, off) in whitened(rows, y) {
                for ((gradient, precision), entry) in gradient.iter_mut().zip(&mut precision).zip(row) {
                    *gradient += entry * off;
                    *precision += entry * entry;
                }
            }
        }
        for (feature, (gradient, precision)) in gradient.iter().zip(precision).enumerate().take(self.features) {
            if precision > 0.0 {
                // Where f32 cannot hold it, it is not known.
                each(feature, (0.5 * gradient * gradient / precision).max(0.0));
            }
        }
    }
}

/// The rows of a component's `U`, and `U y − b`.
fn whitened<'r>(rows: &'r [f32], y: &'r [f32]) -> impl Iterator<Item = (&'r [f32], f32)> {
    let mut rest = rows;
    (1..=y.len()).map_while(move |length| {
        let (row, behind) = rest.split_at_checked(length)?;
        let (offset, behind) = behind.split_first()?;
        rest = behind;
        Some((row, row.iter().zip(y).fold(-*offset, |sum, (entry, y)| sum + entry * y)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two components in two dimensions: `N((1, 2), Σ)` with `Σ = [[4, 1.2], [1.2, 1]]`, and a unit Gaussian about (−3, 0), with constants 0.3 and −0.7.
    /// `L = [[2, 0], [0.6, 0.8]]`, `U = L⁻¹ = [[0.5, 0], [−0.375, 1.25]]`.
    const VALUES: [f32; 12] = [0.3, 0.5, 0.5, -0.375, 1.25, 2.125, -0.7, 1.0, -3.0, 0.0, 1.0, 0.0];

    fn mixture() -> InputMixture<'static> {
        InputMixture { features: 2, values: &VALUES }
    }

    #[test]
    fn the_nearest_component_has_the_gaussians_density() {
        // By the inverse of Σ, whose determinant is 2.56: [[1, −1.2], [−1.2, 4]] / 2.56.
        let square = |x: f64, y: f64| (x * x - 2.4 * x * y + 4.0 * y * y) / 2.56;
        for (x, y) in [(1.0, 2.0), (3.0, 2.5), (0.0, 4.0), (-2.5, 0.3), (40.0, -3.0)] {
            let first = 0.3 - 0.5 * square(x - 1.0, y - 2.0);
            let second = -0.7 - 0.5 * ((x + 3.0) * (x + 3.0) + y * y);
            let (component, nats) = mixture().nearest_below(9.0, &[x as f32, y as f32]).unwrap();
            let exact = if first > second { (0, first) } else { (1, second) };
            assert_eq!(component, exact.0, "{x} {y}");
            assert!((f64::from(nats) - exact.1).abs() < 1e-5 * (1.0 + exact.1.abs()), "{nats} for {}", exact.1);
        }
        assert_eq!(mixture().nearest_below(9.0, &[1e30, -1e30]), Some((0, f32::MIN)));
    }

    #[test]
    fn what_is_likely_enough_is_not_sought_further() {
        // In the middle of the second component, whose log-density there is its constant.
        let nearest = |limit| mixture().nearest_below(limit, &[-3.0, 0.0]);
        assert_eq!([nearest(-0.7), nearest(-0.6)], [None, Some((1, -0.7))]);
    }

    #[test]
    fn a_feature_costs_what_is_regained_at_its_conditional_mean() {
        let at = |x: f32, y: f32| f64::from(mixture().nearest_below(9.0, &[x, y]).unwrap().1);
        let (x, y) = (3.0f32, 0.5f32);
        // E[x|y] = 1 + 1.2 (y − 2), E[y|x] = 2 + 0.3 (x − 1).
        let expected = [at(1.0 + 1.2 * (y - 2.0), y) - at(x, y), at(x, 2.0 + 0.3 * (x - 1.0)) - at(x, y)];
        let mut found = [0.0; 2];
        mixture().costs(0, &[x, y], &mut |feature, nats| found[feature] = f64::from(nats));
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
    }
}
