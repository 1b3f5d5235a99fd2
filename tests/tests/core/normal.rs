//! The standard normal as a sampler, and importance sampling with it on the seed text's example.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

/// Φ(v) in f64, by 10,000 trapezoids of the density from −9.
fn distribution(v: f64) -> f64 {
    let steps = 10_000;
    let width = (v + 9.0) / f64::from(steps);
    let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    let inner: f64 = (1..steps).map(|i| density(-9.0 + f64::from(i) * width)).sum();
    width * (inner + 0.5 * (density(-9.0) + density(v)))
}

#[test]
fn moments_tails_and_kolmogorov_smirnov_distance_are_the_normals() {
    const DRAWS: usize = 1_000_000;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut draws: Vec<f64> = (0..DRAWS).map(|_| f64::from(standard_normal(&mut rng))).collect();
    let n = DRAWS as f64;
    // Moments of N(0, 1) and the variances of their estimates: x^k has variance E x^2k − (E x^k)².
    for (power, moment, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let found = draws.iter().map(|x| x.powi(power)).sum::<f64>() / n;
        assert!((found - moment).abs() < 5.0 * f64::sqrt(variance / n), "moment {power}: {found}");
    }
    for bound in [2.0, 3.0, 4.0] {
        let chance = 2.0 * (1.0 - distribution(bound));
        let found = draws.iter().filter(|x| x.abs() > bound).count() as f64 / n;
        assert!((found - chance).abs() < 5.0 * (chance / n).sqrt(), "beyond {bound}: {found} for {chance}");
    }
    draws.sort_by(f64::total_cmp);
    let distance = (0..DRAWS)
        .step_by(97)
        .map(|index| (distribution(draws[index]) - (index as f64 + 0.5) / n).abs())
        .fold(0.0, f64::max);
    // The 1 % point of Kolmogorov's distribution; every 97th draw finds the supremum to within 97/n.
    assert!(distance < 1.628 / n.sqrt() + 97.0 / n, "{distance}");
}

#[test]
fn importance_sampling_agrees_with_quadrature_and_varies_far_less() {
    // Seed text "Variational autoencoders", appendix "Importance sampling": E over N(0, 1) of 10 exp(−(x − 3)⁴).
    let f = |x: f64| 10.0 * (-(x - 3.0).powi(4)).exp();
    let density = |x: f64, mean: f64| (-0.5 * (x - mean) * (x - mean)).exp() / std::f64::consts::TAU.sqrt();
    let step = 1e-3;
    let exact: f64 = (-8000..8000).map(|i| f64::from(i) * step).map(|x| f(x) * density(x, 0.0) * step).sum();

    const DRAWS: usize = 100_000;
    let estimate = |mean: f64| {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let values: Vec<f64> = (0..DRAWS)
            .map(|_| {
                let x = mean + f64::from(standard_normal(&mut rng));
                f(x) * density(x, 0.0) / density(x, mean)
            })
            .collect();
        let average = values.iter().sum::<f64>() / DRAWS as f64;
        (average, values.iter().map(|v| (v - average).powi(2)).sum::<f64>() / DRAWS as f64)
    };
    let (plain, plain_variance) = estimate(0.0);
    let (weighted, weighted_variance) = estimate(3.0);
    for (found, variance) in [(plain, plain_variance), (weighted, weighted_variance)] {
        assert!((found - exact).abs() < 5.0 * (variance / DRAWS as f64).sqrt(), "{found} for {exact}");
    }
    println!("variance: plain {plain_variance:.5}, importance {weighted_variance:.5}");
    assert!(plain_variance > 10.0 * weighted_variance);
}
