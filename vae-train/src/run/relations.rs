//! What a fit learns of how features go together, once its network is trained.

use anyhow::Result;
use rayon::prelude::*;
use vae_core::{
    Activation, Model, Scratch,
    format::{Precision, input_mixture_len},
};

use crate::{
    config::Config,
    data::part::Part,
    file::model_file::{AlignedFile, ModelFile},
    model::{architecture::Architecture, network::Weights},
    run::screening::model_of_standardised,
    statistics::{gaussian_mixture::GaussianMixture, metrics::quantile, relations},
    weights::{dense::Dense, family::Likelihood, relations::Relations},
};

/// Most features whose relations are learned: their layer has as many weights as the square of their number.
const MOST_FEATURES: usize = 64;
/// Most training windows that they are learned from, evenly spaced.
const MOST_WINDOWS: usize = 20_000;
/// Fewest held-out windows: of fewer, no quantile is known.
const LEAST_HELD_OUT: usize = 16;
/// Values of a mixture of the input, at most: as many products, and as many words of the file.
const MIXTURE_VALUES: usize = 320;
/// Most components of a mixture of the input.
const MOST_COMPONENTS: usize = 16;
/// A reconstruction counts at most as much as that of a window which is better than all but this share of the held-out windows.
const ORDINARY: f64 = 0.6;
/// Most windows for which one Gaussian of the input is compared with two, which takes the square of the features.
const MOST_COMPARED: usize = 4_000;

/// Windows without missing values, and what the network makes of them.
struct Seen {
    /// Standardised, window after window.
    windows: Vec<f32>,
    /// Differences from the reconstruction, in the likelihood's standard deviations.
    residuals: Vec<f32>,
    /// The divergence from the prior of each window, in nats.
    kl: Vec<f32>,
}

/// Learns how features go together from what the network, as int8, makes of training and held-out windows; none where that is not asked for,
/// there is nothing to relate, or too little to learn from.
///
/// Each feature's difference from its reconstruction is judged by all the others' (by the inverse of their covariance); where one Gaussian
/// describes the windows themselves better than two do, there is more to be seen in these than in the differences, which the encoder has
/// followed. Of few features a mixture of Gaussians of the windows sees what no single relation describes, as a curve. On held-out windows
/// the medians of the judgements, and of the mixture the highest tenths, are brought to where those of the ELBO are. A window with a value beyond
/// those of the training windows has at most the score below which are as many held-out windows as are beyond them too.
///
/// # Errors
/// If the network cannot be scored.
pub(crate) fn learn(
    config: &Config,
    architecture: &Architecture,
    weights: Weights,
    train: Part<'_>,
    held_out: Part<'_>,
) -> Result<Option<Relations>> {
    let features = architecture.features;
    if !config.model.relations || !can_relate(architecture) {
        return Ok(None);
    }
    let deviations: Vec<f32> = weights.variance.iter().map(|variance| variance.sqrt()).collect();
    let model = ModelFile { precision: Precision::Int8, ..model_of_standardised(architecture, weights) };
    let file = AlignedFile::new(&model.to_bytes()?);
    let range = range(train, architecture);
    let look = |part: Part<'_>| Seen::of(&file, architecture, &deviations, part);
    let (train, held_out) = (look(train)?, look(held_out)?);
    if held_out.kl.len() < LEAST_HELD_OUT {
        return Ok(None);
    }

    let of_inputs = features > vae_core::format::MAX_MIXED_INPUTS && is_one_gaussian(&train, &held_out, features);
    let in_deviations = |seen: &Seen| -> Vec<f32> {
        if of_inputs {
            seen.windows.iter().zip(deviations.iter().cycle()).map(|(x, deviation)| x / deviation).collect()
        } else {
            seen.residuals.clone()
        }
    };
    let (of_train, of_held_out) = (in_deviations(&train), in_deviations(&held_out));
    let Some(mut fitted) = relations::Relations::fit(&of_train, &of_held_out, features) else { return Ok(None) };
    leave_alone(&mut fitted.weights, &mut fitted.bias, &constant(&train, features));
    // All in nats less than the features' log normalisers, so that higher is less normal.
    let with_kl = |losses: &[f32]| losses.iter().zip(&held_out.kl).map(|(loss, kl)| loss + kl).collect::<Vec<f32>>();
    let alone: Vec<f32> = held_out.residuals.chunks_exact(features).map(half_square).collect();
    let related = of_held_out.chunks_exact(features);
    let related: Vec<f32> = related.map(|r| (fitted.log_normaliser - fitted.log_pseudo_likelihood(r)) as f32).collect();
    let offset = at(&with_kl(&related), 0.5) - at(&with_kl(&alone), 0.5);
    let worse: Vec<f32> = alone.iter().zip(&related).map(|(alone, related)| alone.max(related - offset)).collect();
    let floor = at(&worse, ORDINARY);
    let losses = with_kl(&worse.iter().map(|loss| loss.max(floor)).collect::<Vec<f32>>());
    let (mixture, losses) = mixture(&train, &held_out, &deviations, losses, config.seed);
    let is_outside = |window: &[f32]| window.iter().zip(&range).any(|(x, (least, largest))| x < least || x > largest);
    let outside = held_out.windows.chunks_exact(features).filter(|window| is_outside(window)).count();
    Ok(Some(Relations {
        outside: -at(&losses, 1.0 - outside as f64 / losses.len() as f64),
        range,
        of_inputs,
        offset,
        ceiling: -floor,
        given_others: Dense {
            activation: Activation::Identity,
            rows: features,
            columns: features,
            weights: fitted.weights,
            bias: fitted.bias,
        },
        mixture,
    }))
}

/// Relations as large as they may become for an architecture: what they cost.
pub(crate) fn largest(architecture: &Architecture) -> Option<Relations> {
    let features = architecture.features;
    if !can_relate(architecture) {
        return None;
    }
    Some(Relations {
        of_inputs: false,
        offset: 0.0,
        ceiling: 0.0,
        given_others: Dense {
            activation: Activation::Identity,
            rows: features,
            columns: features,
            weights: vec![0.0; features * features],
            bias: vec![0.0; features],
        },
        range: vec![(0.0, 0.0); features],
        outside: 0.0,
        mixture: vec![0.0; most_components(features) * input_mixture_len(features)],
    })
}

/// Whether relations are defined for a model, and few enough.
fn can_relate(architecture: &Architecture) -> bool {
    architecture.likelihood == Likelihood::Gaussian && (2..=MOST_FEATURES).contains(&architecture.features)
}

/// Components of a mixture of the input, at most: a power of two, or 0.
#[must_use]
pub fn most_components(features: usize) -> usize {
    if features > vae_core::format::MAX_MIXED_INPUTS {
        return 0;
    }
    1 << (MIXTURE_VALUES / input_mixture_len(features)).min(MOST_COMPONENTS).ilog2()
}

/// Whether one Gaussian describes the windows better than two do.
fn is_one_gaussian(train: &Seen, held_out: &Seen, features: usize) -> bool {
    let some: Vec<f32> = {
        let windows = train.kl.len();
        let step = windows.div_ceil(MOST_COMPARED).max(1);
        train.windows.chunks_exact(features).step_by(step).flatten().copied().collect()
    };
    GaussianMixture::fit(&some, &held_out.windows, features, 2, 0).is_some_and(|found| found.components().len() == 1)
}

/// The components of a mixture of the input, in the likelihood's standard deviations, whose constants are such that the highest tenth of
/// the held-out windows' losses begins where that of `losses` does; none for many features. Beside them the losses, or those by the mixture where
/// they are more.
fn mixture(train: &Seen, held_out: &Seen, deviations: &[f32], mut losses: Vec<f32>, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let features = deviations.len();
    let fit = |most| GaussianMixture::fit(&train.windows, &held_out.windows, features, most, seed);
    let Some(fitted) = Some(most_components(features)).filter(|most| *most > 0).and_then(fit) else {
        return (Vec::new(), losses);
    };
    let own: Vec<f32> =
        held_out.windows.chunks_exact(features).map(|x| -fitted.log_density_of_nearest(x) as f32).collect();
    let shift = at(&own, 0.9) - at(&losses, 0.9);
    losses.iter_mut().zip(&own).for_each(|(loss, own)| *loss = loss.max(own - shift));
    let constant = constant(train, features);
    let mut values = Vec::new();
    for component in fitted.components() {
        values.push(component.constant as f32 + shift);
        for (feature, (row, offset)) in component.rows().zip(&component.offset).enumerate() {
            // As exact as a reconstruction: all that is known of a constant is that it has not moved.
            let most = if constant[feature] { 1.0 } else { f64::INFINITY };
            let in_deviations = row.iter().zip(deviations).map(|(entry, unit)| entry * f64::from(*unit));
            values.extend(in_deviations.map(|entry| entry.min(most) as f32));
            values.push(*offset as f32);
        }
    }
    (values, losses)
}

/// Which features have one value in all training windows.
fn constant(train: &Seen, features: usize) -> Vec<bool> {
    let first: Vec<f32> = train.windows.iter().take(features).copied().collect();
    let differs = |feature: usize| train.windows.iter().skip(feature).step_by(features).any(|x| *x != first[feature]);
    (0..features).map(|feature| !differs(feature)).collect()
}

/// Leaves each constant feature's difference as it is and to itself: all that is known of it is that it has not moved.
fn leave_alone(weights: &mut [f32], bias: &mut [f32], constant: &[bool]) {
    let features = constant.len();
    for (row, (weights, bias)) in weights.chunks_exact_mut(features).zip(bias).enumerate() {
        if constant[row] {
            weights.fill(0.0);
            *bias = 0.0;
            weights[row] = 1.0;
        } else {
            weights.iter_mut().zip(constant).filter(|(_, constant)| **constant).for_each(|(weight, _)| *weight = 0.0);
        }
    }
}

/// The least and the largest value of each feature in a part's windows.
fn range(part: Part<'_>, architecture: &Architecture) -> Vec<(f32, f32)> {
    let mut range = vec![(f32::INFINITY, f32::NEG_INFINITY); architecture.features];
    for window in part.windows(part.chosen, architecture.inputs()) {
        for ((least, largest), x) in range.iter_mut().zip(window) {
            (*least, *largest) = (least.min(*x), largest.max(*x));
        }
    }
    range
}

fn half_square(residuals: &[f32]) -> f32 {
    0.5 * residuals.iter().map(|off| off * off).sum::<f32>()
}

/// A quantile of some values.
fn at(values: &[f32], p: f64) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    quantile(&sorted, p)
}

impl Seen {
    /// At most [`MOST_WINDOWS`] of a part's windows, through the model of standardised windows.
    fn of(file: &AlignedFile, architecture: &Architecture, deviations: &[f32], part: Part<'_>) -> Result<Self> {
        let (inputs, features) = (architecture.inputs(), architecture.features);
        let windows = part.whole_windows(MOST_WINDOWS, inputs);
        let model = file.model()?;
        let seen = windows.par_iter().map_init(
            || vec![0.0; model.scratch_len()],
            |memory, window| residuals(&model, window, &mut Scratch::new(memory), deviations),
        );
        let seen: Vec<(Vec<f32>, f32)> = seen.collect::<Result<_>>()?;
        Ok(Self {
            windows: windows.iter().flat_map(|window| &window[..features]).copied().collect(),
            kl: seen.iter().map(|(_, kl)| *kl).collect(),
            residuals: seen.into_iter().flat_map(|(residuals, _)| residuals).collect(),
        })
    }
}

/// The differences of a standardised window from its reconstruction at the posterior's mean, in standard deviations, and its divergence.
fn residuals(
    model: &Model<'_>,
    window: &[f32],
    scratch: &mut Scratch<'_>,
    deviations: &[f32],
) -> Result<(Vec<f32>, f32)> {
    let (x, condition) = window.split_at(model.features());
    let model = model.given(condition)?;
    let kl = model.elbo_at_mean(x, scratch)?.kl;
    let mut z = vec![0.0; model.latent()];
    model.encode(x, scratch)?.mean(&mut z[..])?;
    let mut mean = vec![0.0; x.len()];
    model.decode(&z[..], &mut mean[..], scratch)?;
    Ok((x.iter().zip(mean).zip(deviations).map(|((x, mean), deviation)| (x - mean) / deviation).collect(), kl))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use vae_core::standard_normal;

    use super::*;

    #[test]
    fn a_constant_feature_keeps_its_own_difference_and_tells_of_no_other() {
        let seen =
            Seen { windows: vec![1.0, 5.0, 0.0, 2.0, 5.0, 0.0, 1.5, 5.0, 0.1], residuals: Vec::new(), kl: Vec::new() };
        assert_eq!(constant(&seen, 3), [false, true, false]);
        let (mut weights, mut bias) = (vec![2.0, 3.0, 4.0, 3.0, 7.0, 5.0, 4.0, 5.0, 6.0], vec![0.1, 0.2, 0.3]);
        leave_alone(&mut weights, &mut bias, &[false, true, false]);
        assert_eq!(weights, [2.0, 0.0, 4.0, 0.0, 1.0, 0.0, 4.0, 0.0, 6.0]);
        assert_eq!(bias, [0.1, 0.0, 0.3]);
    }

    #[test]
    fn a_mixture_is_brought_to_where_the_rest_has_its_highest_tenth() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut windows = |count: usize| -> Vec<f32> {
            let rows = (0..count).map(|_| [standard_normal(&mut rng), 0.05 * standard_normal(&mut rng)]);
            rows.flat_map(|[x, off]| [x, x + off]).collect()
        };
        let seen = |windows| Seen { windows, residuals: Vec::new(), kl: Vec::new() };
        let (train, held_out) = (seen(windows(2000)), seen(windows(1000)));
        let losses: Vec<f32> = (0..1000).map(|index| 3.0 + index as f32 / 1000.0).collect();
        let (values, worse) = mixture(&train, &held_out, &[0.5, 0.5], losses.clone(), 0);
        // What a component of the file comes to: the constant, less half of U y − b, in the likelihood's standard deviations.
        let of_file = |x: &[f32]| {
            let y = [x[0] / 0.5, x[1] / 0.5];
            let components = values.chunks_exact(input_mixture_len(2)).map(|values| {
                let [constant, a, b, c, d, e] = values.try_into().unwrap();
                let squares = (a * y[0] - b).powi(2) + (c * y[0] + d * y[1] - e).powi(2);
                -(constant - 0.5 * squares)
            });
            components.fold(f32::INFINITY, f32::min)
        };
        let own: Vec<f32> = held_out.windows.chunks(2).map(of_file).collect();
        // The tenth highest of a hundred is where the other's is, up to rounding.
        assert!((at(&own, 0.9) - at(&losses, 0.9)).abs() < 1e-3, "{} {}", at(&own, 0.9), at(&losses, 0.9));
        for ((worse, loss), own) in worse.iter().zip(&losses).zip(&own) {
            assert!((worse - loss.max(*own)).abs() < 1e-3, "{worse} {loss} {own}");
        }
        // Two features that go together within 0.05, which a window breaks by half a standard deviation of either.
        assert!(of_file(&[0.0, 0.5]) > at(&losses, 0.9) + 20.0);
    }
}
