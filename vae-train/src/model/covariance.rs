//! The log-likelihood of features that vary together, in operations that any device has.

use burn::tensor::Tensor;

use crate::{cpu::kernel::LN_TWO_PI, model::batch::Batch};

/// `ln N(x; μ, D + U Uᵀ)` of what is observed of each window, `[windows, 1]`, for an `output` of means, log-variances and the columns of U, as
/// [`gaussian_covariance`](crate::cpu::kernel::covariance::gaussian_covariance) has them, whose formulas these are.
///
/// The Cholesky factor of `M = I + Uᵀ D⁻¹ U` is written out, entry by entry: the rank is small, and windows are many.
pub(crate) fn log_likelihood(output: Tensor<2>, batch: &Batch, (low, high): (f32, f32)) -> Tensor<2> {
    let [_, features] = batch.x.dims();
    let parts = output.dims()[1] / features;
    let part = |place: usize| output.clone().narrow(1, place * features, features);
    let of_observed = |each: Tensor<2>| match &batch.observed {
        Some(observed) => each * observed.clone(),
        None => each,
    };
    let log_variance = part(1).clamp(low, high);
    let precision = of_observed(log_variance.clone().neg().exp());
    let difference = batch.x.clone() - part(0);
    let columns: Vec<Tensor<2>> = (2..parts).map(part).collect();

    // M = L Lᵀ, and L y = Uᵀ D⁻¹ (x − μ).
    let (mut factor, mut y) = (Vec::<Vec<Tensor<2>>>::new(), Vec::<Tensor<2>>::new());
    for column in &columns {
        let weighted = column.clone() * precision.clone();
        let mut row = Vec::<Tensor<2>>::new();
        for (other, above) in columns.iter().zip(&factor) {
            let product = (weighted.clone() * other.clone()).sum_dim(1);
            let rest = row.iter().zip(above).fold(product, |rest, (a, b)| rest - a.clone() * b.clone());
            row.push(rest / above[above.len() - 1].clone());
        }
        let square = (weighted.clone() * column.clone()).sum_dim(1).add_scalar(1.0);
        let diagonal = row.iter().fold(square, |rest, l| rest - l.clone() * l.clone()).sqrt();
        let product = (weighted * difference.clone()).sum_dim(1);
        let rest = row.iter().zip(&y).fold(product, |rest, (l, y)| rest - l.clone() * y.clone());
        y.push(rest / diagonal.clone());
        row.push(diagonal);
        factor.push(row);
    }
    // Lᵀ w = y, from the last.
    let mut nats = of_observed(log_variance.add_scalar(LN_TWO_PI)).sum_dim(1);
    let mut left = difference;
    for (i, row) in factor.iter().enumerate().rev() {
        let w = y[i].clone() / row[i].clone();
        for (y, l) in y.iter_mut().zip(&row[..i]) {
            *y = y.clone() - l.clone() * w.clone();
        }
        left = left - columns[i].clone() * w.clone();
        nats = nats + w.clone() * w + row[i].clone().log().mul_scalar(2.0);
    }
    (nats + (left.clone() * left * precision).sum_dim(1)).mul_scalar(-0.5)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};
    use nalgebra::{DMatrix, DVector};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use vae_core::{Scratch, format::COVARIANCE_RANKS};

    use super::*;
    use crate::{
        config::{Config, data::DataConfig},
        cpu::{
            likelihood::{self, Family},
            tensor::read,
        },
        file::model_file::AlignedFile,
        model::network::Vae,
        run::screening::model_of_standardised,
        weights::family::Likelihood,
    };

    const FEATURES: usize = 5;
    const BOUNDS: (f32, f32) = (-2.0, 1.5);

    /// The log-density of the observed features of a window, by the determinant and the inverse of their covariance, in f64.
    fn dense(output: &[f64], x: &[f32]) -> f64 {
        let at = |part: usize, feature: usize| output[part * FEATURES + feature];
        let seen: Vec<usize> = (0..FEATURES).filter(|feature| !x[*feature].is_nan()).collect();
        let off = DVector::from_iterator(seen.len(), seen.iter().map(|j| f64::from(x[*j]) - at(0, *j)));
        let covariance = DMatrix::from_fn(seen.len(), seen.len(), |i, j| {
            let shared: f64 = (2..output.len() / FEATURES).map(|k| at(k, seen[i]) * at(k, seen[j])).sum();
            let own = at(1, seen[i]).clamp(f64::from(BOUNDS.0), f64::from(BOUNDS.1)).exp();
            shared + if i == j { own } else { 0.0 }
        });
        let determinant = covariance.determinant();
        let quadratic = off.dot(&(covariance.try_inverse().unwrap() * &off));
        -0.5 * (quadratic + determinant.ln() + seen.len() as f64 * std::f64::consts::TAU.ln())
    }

    #[test]
    fn the_density_and_its_gradient_are_those_of_the_dense_covariance() {
        let device = Device::flex().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let gaps = [None, Some(2), Some(4)];
        for rank in [1, 2, 4] {
            let width = (2 + rank) * FEATURES;
            // Log-variances on both sides of their bounds, and none near enough for a difference across one.
            let outputs: Vec<f32> = (0..gaps.len() * width)
                .map(|place| match place % width / FEATURES {
                    1 => [-3.0, -1.0, 0.3, 1.2, 2.0][place % FEATURES],
                    _ => rng.random_range(-1.5..1.5),
                })
                .collect();
            let windows: Vec<Vec<f32>> = gaps
                .iter()
                .map(|gap| {
                    let mut x: Vec<f32> = (0..FEATURES).map(|_| rng.random_range(-2.0..2.0)).collect();
                    gap.iter().for_each(|gap| x[*gap] = f32::NAN);
                    x
                })
                .collect();
            let architecture = Config::default().architecture(FEATURES);
            let batch = || Batch::new(windows.concat(), &architecture, &device);
            let run = |is_fused: bool| {
                let output = TensorData::new(outputs.clone(), [gaps.len(), width]);
                let output = Tensor::<2>::from_data(output, &device).require_grad();
                let nats = if is_fused {
                    let unused = Tensor::<1>::zeros([FEATURES], &device);
                    let (family, batch) = (Family::GaussianCovariance(BOUNDS), batch());
                    likelihood::log_likelihood(family, output.clone(), &batch.x, batch.observed.as_ref(), unused)
                        .unwrap()
                } else {
                    log_likelihood(output.clone(), &batch(), BOUNDS)
                };
                let gradient = output.grad(&nats.clone().sum().backward()).unwrap();
                (read(nats.inner()).unwrap(), read(gradient).unwrap())
            };
            for (what, (nats, gradient)) in [("fused", run(true)), ("written out", run(false))] {
                for (row, x) in windows.iter().enumerate() {
                    let output: Vec<f64> = outputs[row * width..][..width].iter().map(|v| f64::from(*v)).collect();
                    let exact = dense(&output, x);
                    assert!(
                        (f64::from(nats[row]) - exact).abs() < 1e-5 * (1.0 + exact.abs()),
                        "{what} {rank}: {exact}"
                    );
                    for place in 0..width {
                        const STEP: f64 = 1e-5;
                        let moved = |by: f64| {
                            let mut output = output.clone();
                            output[place] += by;
                            dense(&output, x)
                        };
                        let exact = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                        let found = f64::from(gradient[row * width + place]);
                        assert!(
                            (found - exact).abs() < 2e-5 * (1.0 + exact.abs()),
                            "{what} {rank} {place}: {found} {exact}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_trained_is_what_the_core_scores() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut config =
            Config { data: DataConfig { condition: vec!["c".into()], ..DataConfig::default() }, ..Config::default() };
        config.model.likelihood = Likelihood::GaussianCovariance;
        config.model.prior = Some(0);
        config.model.hidden = Some(vec![6]);
        for rank in COVARIANCE_RANKS {
            config.model.covariance_rank = rank;
            // More than one chunk of the core's, of any rank.
            let architecture = config.architecture(21);
            let latent = architecture.latent;
            let mut network = Vae::init(&architecture, 3, &Device::flex());
            let last = network.decoder.len() - 1;
            // As strong as training makes them.
            let weight = &mut network.decoder[last].weight;
            *weight = weight.clone().map(|weight| weight.mul_scalar(4.0));
            let mut inputs: Vec<f32> = (0..2 * 22).map(|_| rng.random_range(-2.0..2.0)).collect();
            inputs[24..30].fill(f32::NAN);
            let z: Vec<f32> = (0..2 * latent).map(|_| rng.random_range(-1.5..1.5)).collect();
            let batch = Batch::new(inputs.clone(), &architecture, &Device::flex());
            let latents = Tensor::<2>::from_data(TensorData::new(z.clone(), [2, latent]), &Device::flex());
            let trained = read(network.log_conditional(batch, latents)).unwrap();

            let file = model_of_standardised(&architecture, network.weights().unwrap());
            let file = AlignedFile::new(&file.to_bytes().unwrap());
            let model = file.model().unwrap();
            let mut memory = vec![0.0; model.scratch_len()];
            for (row, trained) in trained.into_iter().enumerate() {
                let (x, condition) = inputs[row * 22..][..22].split_at(21);
                let (z, model) = (&z[row * latent..][..latent], model.given(condition).unwrap());
                let joint = model.log_joint(x, z, &mut Scratch::new(&mut memory)).unwrap();
                let found = joint - model.log_prior(z).unwrap();
                assert!((found - trained).abs() < 2e-5 * (1.0 + trained.abs()), "{rank}: {found} for {trained}");
            }
        }
    }
}
