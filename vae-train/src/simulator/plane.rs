//! Shapes in the plane whose density is known: what a model of densities is judged by.

use std::f64::consts::{PI, TAU};

use clap::ValueEnum;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

/// The ring is so much of its normal numbers wide.
const RING_WIDTH: f64 = 0.1;
/// Standard deviation of the noise of moons and spiral.
const NOISE: f64 = 0.1;
/// Pieces of a curve that its density is added up from: each is at most half of the noise long.
const PIECES: usize = 512;
/// The angle that the spiral turns by, and its largest radius.
const TURN: f64 = 3.0 * PI;
const SPIRAL_RADIUS: f64 = 3.0;
/// Where the eight Gaussians stand, and how wide each is.
const CLUSTER_RADIUS: f64 = 2.0;
const CLUSTER_WIDTH: f64 = 0.2;
/// The checkerboard has so many squares of side 1 to a side, half of which hold points.
const SQUARES: usize = 4;
/// The pinwheel's blades: their number, spread along and across, and how much a blade bends, in radians: `BEND e^r` at radius r.
const BLADES: usize = 5;
const ALONG: f64 = 0.3;
const ACROSS: f64 = 0.1;
const BEND: f64 = 0.25;

/// A distribution of points in the plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// `z/10 + z/‖z‖` with `z ~ N(0, I₂)`: a ring of radius about 1, and none within.
    Ring,
    /// Two half circles of radius 1 that reach into each other, about (0, 0) and (1, ½), with normal noise of 0.1.
    TwoMoons,
    /// One and a half turns of an Archimedean spiral of radius 3, with normal noise of 0.1.
    Spiral,
    /// Eight Gaussians of standard deviation 0.2 on a circle of radius 2.
    EightGaussians,
    /// Uniform on every other square of a board of four by four, of side 4.
    Checkerboard,
    /// Five blades `N((1, 0), diag(0.3², 0.1²))`, turned by fifths of a circle and, at radius r, by `e^r / 4` radians more.
    Pinwheel,
}

impl Shape {
    /// As it is named on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Independent points; the same seed gives the same points.
    ///
    /// # Source
    /// Ring: Doersch (2016), *Tutorial on Variational Autoencoders*, figure 2; seed texts. Moons, spiral, eight Gaussians, checkerboard: after
    /// Grathwohl et al. (2019), *FFJORD*, figure 2. Pinwheel: after Johnson et al. (2016), *Composing graphical models with neural networks*,
    /// figure 1; bent by the radius, which leaves areas as they are.
    #[must_use]
    pub fn points(self, count: usize, seed: u64) -> Vec<[f32; 2]> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| self.point(&mut rng).map(|x| x as f32)).collect()
    }

    fn point(self, rng: &mut ChaCha8Rng) -> [f64; 2] {
        let blurred =
            |rng: &mut ChaCha8Rng, at: [f64; 2], width: f64| at.map(|x| x + width * f64::from(standard_normal(rng)));
        match self {
            Self::Ring => {
                let z = [standard_normal(rng), standard_normal(rng)];
                let norm = (z[0] * z[0] + z[1] * z[1]).sqrt().max(f32::MIN_POSITIVE);
                z.map(|z| f64::from(z / 10.0 + z / norm))
            }
            Self::TwoMoons => {
                let (moon, along) = (rng.random_range(0..2), rng.random::<f64>());
                blurred(rng, moons(along)[moon], NOISE)
            }
            Self::Spiral => {
                let along = rng.random::<f64>().sqrt();
                blurred(rng, spiral(along), NOISE)
            }
            Self::EightGaussians => {
                let cluster = rng.random_range(0..8);
                blurred(rng, clusters()[cluster], CLUSTER_WIDTH)
            }
            Self::Checkerboard => {
                let (row, half) = (rng.random_range(0..SQUARES), rng.random_range(0..SQUARES / 2));
                let corner = [2 * half + row % 2, row].map(|square| square as f64 - SQUARES as f64 / 2.0);
                // Numbers that f32 holds: rounding moves no point into the next square.
                corner.map(|corner| corner + (f64::from(rng.random_range(0..1u32 << 20)) + 0.5) / f64::from(1 << 20))
            }
            Self::Pinwheel => {
                let blade = rng.random_range(0..BLADES);
                let along = 1.0 + ALONG * f64::from(standard_normal(rng));
                let across = ACROSS * f64::from(standard_normal(rng));
                turned([along, across], blade_angle(blade, libm::hypot(along, across)))
            }
        }
    }

    /// `ln p(x)` in nats; minus infinity where there are no points.
    ///
    /// # Accuracy
    /// In closed form; of moons and spiral by quadrature along the curve, to 3e-4 of the density at the curve's ends and much less elsewhere.
    #[must_use]
    pub fn log_density(self, x: [f64; 2]) -> f64 {
        match self {
            Self::Ring => {
                // p(r) of r = 1 + ρ/10 with ρ Rayleigh, spread over the circle of radius r.
                let radius = libm::hypot(x[0], x[1]);
                let rho = (radius - 1.0) / RING_WIDTH;
                if rho <= 0.0 {
                    f64::NEG_INFINITY
                } else {
                    libm::log(rho / RING_WIDTH / (TAU * radius)) - 0.5 * rho * rho
                }
            }
            Self::TwoMoons => {
                let pieces = middles().flat_map(moons);
                log_mean_exp(pieces.map(|at| log_normal(x, at, [NOISE; 2])))
            }
            // Of the radius' share s the density is 2 s: the pieces are of the square of s.
            Self::Spiral => {
                let pieces = middles().map(|s| libm::log(2.0 * s) + log_normal(x, spiral(s), [NOISE; 2]));
                log_mean_exp(pieces)
            }
            Self::EightGaussians => {
                log_mean_exp(clusters().into_iter().map(|at| log_normal(x, at, [CLUSTER_WIDTH; 2])))
            }
            Self::Checkerboard => {
                let square = x.map(|x| (x + SQUARES as f64 / 2.0).floor());
                let is_on_board = square.iter().all(|square| (0.0..SQUARES as f64).contains(square));
                let holds_points = is_on_board && (square[0] + square[1]) % 2.0 == 0.0;
                if holds_points { -libm::log((SQUARES * SQUARES / 2) as f64) } else { f64::NEG_INFINITY }
            }
            Self::Pinwheel => {
                let radius = libm::hypot(x[0], x[1]);
                let blades = (0..BLADES).map(|blade| turned(x, -blade_angle(blade, radius)));
                log_mean_exp(blades.map(|straight| log_normal(straight, [1.0, 0.0], [ALONG, ACROSS])))
            }
        }
    }
}

/// The middles of the pieces of a curve, in shares of it.
fn middles() -> impl Iterator<Item = f64> + Clone {
    (0..PIECES).map(|piece| (piece as f64 + 0.5) / PIECES as f64)
}

/// A point of each moon, at a share of its length.
fn moons(along: f64) -> [[f64; 2]; 2] {
    let (sin, cos) = libm::sincos(PI * along);
    [[cos, sin], [1.0 - cos, 0.5 - sin]]
}

/// The spiral's point at a share of its radius.
fn spiral(share: f64) -> [f64; 2] {
    let (sin, cos) = libm::sincos(TURN * share);
    [SPIRAL_RADIUS * share * cos, SPIRAL_RADIUS * share * sin]
}

fn clusters() -> [[f64; 2]; 8] {
    std::array::from_fn(|cluster| {
        let (sin, cos) = libm::sincos(TAU * cluster as f64 / 8.0);
        [CLUSTER_RADIUS * cos, CLUSTER_RADIUS * sin]
    })
}

/// How far a blade is turned at a radius, in radians.
fn blade_angle(blade: usize, radius: f64) -> f64 {
    TAU * blade as f64 / BLADES as f64 + BEND * libm::exp(radius)
}

fn turned(x: [f64; 2], angle: f64) -> [f64; 2] {
    let (sin, cos) = libm::sincos(angle);
    [cos * x[0] - sin * x[1], sin * x[0] + cos * x[1]]
}

/// `ln N(x; mean, diag(deviation²))`.
fn log_normal(x: [f64; 2], mean: [f64; 2], deviation: [f64; 2]) -> f64 {
    let axis = |i: usize| -0.5 * ((x[i] - mean[i]) / deviation[i]).powi(2) - libm::log(deviation[i]);
    axis(0) + axis(1) - libm::log(TAU)
}

fn log_mean_exp(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    let sum: f64 = values.iter().map(|value| libm::exp(value - largest)).sum();
    largest + libm::log(sum / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a grid over ±4: steps to a side, and their width, which divides the squares that points are counted in.
    const SIDE: usize = 320;
    const STEP: f64 = 0.025;

    /// The grid's points, and `ln p` there.
    fn grid(shape: Shape) -> impl Iterator<Item = ([f64; 2], f64)> {
        let at = |index: usize| -4.0 + STEP * (index as f64 + 0.5);
        (0..SIDE * SIDE).map(move |index| [at(index % SIDE), at(index / SIDE)]).map(move |x| (x, shape.log_density(x)))
    }

    #[test]
    fn densities_integrate_to_one_and_points_are_where_they_say() {
        const POINTS: usize = 10_000;
        // Squares of side ½, each with many points or hardly any.
        let square = |x: [f64; 2]| {
            let at = x.map(|x| ((x + 4.0) / 0.5).floor().clamp(0.0, 15.0) as usize);
            at[1] * 16 + at[0]
        };
        for &shape in Shape::value_variants() {
            let (mut mass, mut mean, mut mean_square) = (0.0, 0.0, 0.0);
            let (mut expected, mut found) = (vec![0.0; 256], vec![0.0; 256]);
            for (x, log_density) in grid(shape).filter(|(_, log_density)| *log_density > f64::NEG_INFINITY) {
                let p = log_density.exp() * STEP * STEP;
                mass += p;
                mean += p * log_density;
                mean_square += p * log_density * log_density;
                expected[square(x)] += POINTS as f64 * p;
            }
            // The ring's inner edge, where the density rises from 0 in a corner, is the coarsest thing on the grid.
            assert!((mass - 1.0).abs() < 1.5e-3, "{shape:?}: {mass}");

            let points = shape.points(POINTS, 5);
            let nats = points.iter().map(|x| shape.log_density(x.map(f64::from)));
            let entropy_found = -nats.sum::<f64>() / POINTS as f64;
            // Five standard errors, and what the grid may be wrong by.
            let allowed = 5.0 * ((mean_square - mean * mean).max(0.0) / POINTS as f64).sqrt() + 3e-3;
            assert!((entropy_found + mean).abs() < allowed, "{shape:?}: {entropy_found} for {} ± {allowed}", -mean);

            points.iter().for_each(|x| found[square(x.map(f64::from))] += 1.0);
            let pairs: Vec<(f64, f64)> = expected.into_iter().zip(found).collect();
            let (filled, empty): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(expected, _)| *expected >= 5.0);
            let chi: f64 = filled.iter().map(|(expected, found)| (found - expected).powi(2) / expected).sum();
            // A χ² of k degrees has mean k and variance 2 k: five standard deviations.
            let cells = filled.len() as f64;
            assert!(chi < cells + 5.0 * (2.0 * cells).sqrt(), "{shape:?}: χ² {chi} of {cells} squares");
            let [expected, found] = [0, 1].map(|of| empty.iter().map(|pair| [pair.0, pair.1][of]).sum::<f64>());
            assert!((found - expected).abs() < 5.0 * expected.sqrt() + 1.0, "{shape:?}: {found} for {expected}");
        }
    }

    #[test]
    fn the_ring_has_radius_one_and_a_tenth_of_the_norm() {
        let points = Shape::Ring.points(20_000, 1);
        let radii: Vec<f64> = points.iter().map(|p| libm::hypot(p[0].into(), p[1].into())).collect();
        // ‖z‖ of two normals is Rayleigh: mean √(π/2) = 1.2533.
        let mean = radii.iter().sum::<f64>() / radii.len() as f64;
        assert!((mean - 1.125_33).abs() < 0.002, "{mean}");
        assert!(radii.iter().all(|r| *r >= 1.0));
    }

    #[test]
    fn no_points_lie_where_there_are_none() {
        assert_eq!(Shape::Ring.log_density([0.6, 0.7]), f64::NEG_INFINITY);
        assert_eq!(Shape::Checkerboard.log_density([-1.5, -0.5]), f64::NEG_INFINITY);
        assert_eq!(Shape::Checkerboard.log_density([2.5, 0.5]), f64::NEG_INFINITY);
        for shape in [Shape::Ring, Shape::Checkerboard] {
            let points = shape.points(2000, 7);
            assert!(points.iter().all(|x| shape.log_density(x.map(f64::from)) > f64::NEG_INFINITY), "{shape:?}");
        }
    }
}
