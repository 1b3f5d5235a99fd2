//! The plane of latent space in which windows vary most.

use nalgebra::{DMatrix, SymmetricEigen};

/// Two directions of latent space.
pub(super) struct Plane {
    pub(super) axes: [Vec<f64>; 2],
    pub(super) labels: [String; 2],
    /// Share of the normal windows' variance that lies in the plane.
    pub(super) share: f64,
}

impl Plane {
    /// The plane in which `points` vary most; of two dimensions, these.
    pub(super) fn of(points: &[Vec<f32>], latent: usize) -> Self {
        let unit = |axis: usize| (0..latent).map(|i| f64::from(u8::from(i == axis))).collect();
        if latent <= 2 {
            return Self { axes: [unit(0), unit(1)], labels: [1, 2].map(|axis| format!("latent {axis}")), share: 1.0 };
        }
        let rows = points.len().max(1) as f64;
        let mean: Vec<f64> = (0..latent).map(|i| points.iter().map(|z| f64::from(z[i])).sum::<f64>() / rows).collect();
        let covariance = DMatrix::from_fn(latent, latent, |a, b| {
            points.iter().map(|z| (f64::from(z[a]) - mean[a]) * (f64::from(z[b]) - mean[b])).sum::<f64>() / rows
        });
        let total = covariance.trace().max(f64::MIN_POSITIVE);
        let eigen = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..latent).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let axis = |rank: usize| {
            let vector = eigen.eigenvectors.column(order[rank]);
            // Either sign is an axis: the one with a positive sum, so that the same run gives the same picture.
            let sign = if vector.sum() < 0.0 { -1.0 } else { 1.0 };
            vector.iter().map(|value| sign * value).collect()
        };
        let shares = [0, 1].map(|rank| eigen.eigenvalues[order[rank]].max(0.0) / total);
        let labels = [("first", shares[0]), ("second", shares[1])]
            .map(|(rank, share)| format!("{rank} axis ({:.0} % of variance)", 100.0 * share));
        Self { axes: [axis(0), axis(1)], labels, share: shares[0] + shares[1] }
    }

    /// Where a latent vector lies in the plane.
    pub(super) fn place(&self, z: &[f32]) -> (f64, f64) {
        let along = |axis: &[f64]| axis.iter().zip(z).map(|(a, z)| a * f64::from(*z)).sum();
        (along(&self.axes[0]), along(&self.axes[1]))
    }

    /// The contour of an independent Gaussian at so many standard deviations.
    pub(super) fn contour(&self, mean: &[f32], deviation: &[f32], deviations: f64) -> Vec<(f64, f64)> {
        const CORNERS: usize = 48;
        let product = |a: &[f64], b: &[f64]| -> f64 {
            a.iter().zip(b).zip(deviation).map(|((a, b), s)| a * b * f64::from(*s) * f64::from(*s)).sum()
        };
        let [first, second] = &self.axes;
        // Cholesky's factor of the projected covariance.
        let l11 = product(first, first).sqrt();
        let l21 = product(first, second) / l11.max(f64::MIN_POSITIVE);
        let l22 = (product(second, second) - l21 * l21).max(0.0).sqrt();
        let (x, y) = self.place(mean);
        let corner = |index: usize| {
            let (sin, cos) = libm::sincos(std::f64::consts::TAU * index as f64 / CORNERS as f64);
            (x + deviations * l11 * cos, y + deviations * (l21 * cos + l22 * sin))
        };
        (0..CORNERS).map(corner).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_is_that_of_the_largest_variances() {
        // Along (1, 1, 0)/√2 by 3, along the third axis by 1, and not at all across.
        let points: Vec<Vec<f32>> = (0..100)
            .map(|i| {
                let (a, b) = (3.0 * (i as f32 * 0.9).sin(), (i as f32 * 2.3).cos());
                vec![a / 2f32.sqrt(), a / 2f32.sqrt(), b]
            })
            .collect();
        let plane = Plane::of(&points, 3);
        let half = 0.5f64.sqrt();
        for (axis, expected) in plane.axes.iter().zip([[half, half, 0.0], [0.0, 0.0, 1.0]]) {
            assert!(axis.iter().zip(expected).all(|(a, b)| (a.abs() - b).abs() < 0.05), "{axis:?}");
        }
        assert!((plane.share - 1.0).abs() < 1e-6);
    }

    #[test]
    fn contours_are_ellipses_of_the_projected_gaussian() {
        let plane =
            Plane { axes: [vec![0.6, 0.8], vec![-0.8, 0.6]], labels: [String::new(), String::new()], share: 1.0 };
        // Each corner is at Mahalanobis distance 2: turned back, (u/3)² + (v/0.5)² = 4.
        for (x, y) in plane.contour(&[1.0, 2.0], &[3.0, 0.5], 2.0) {
            let (x, y) = (x - (0.6 + 1.6), y - (-0.8 + 1.2));
            let (u, v) = (0.6 * x - 0.8 * y, 0.8 * x + 0.6 * y);
            assert!(((u / 3.0).powi(2) + (v / 0.5).powi(2) - 4.0).abs() < 1e-9);
        }
    }
}
