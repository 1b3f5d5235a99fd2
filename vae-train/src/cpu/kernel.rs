//! The loops of a training step on the CPU, each one pass over its data, compiled for several instruction sets and chosen at
//! run time.
//!
//! Everything that rounds is written out (`mul_add` where one rounding is meant, sums over a fixed number of lanes), so that
//! every instruction set gives the same bits.

pub(crate) mod covariance;
pub(crate) mod log_likelihood;

use macerator::{AutoArch, Simd, WithSimd};

use crate::weights::family::HiddenActivation;

pub(crate) const LN_TWO_PI: f32 = 1.837_877_1;
/// Partial sums that a long sum is kept in.
const LANES: usize = 16;

struct Kernel<F>(F);

impl<R, F: FnOnce() -> R> WithSimd for Kernel<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: Simd>(self) -> R {
        (self.0)()
    }
}

/// Runs `f` as compiled for this CPU. What `f` calls must be `#[inline(always)]`, and so must `f`.
#[inline(always)]
pub(super) fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    AutoArch::new().dispatch(Kernel(f))
}

/// `eᵛ` for v up to 88; below −87, `e⁻⁸⁷`.
///
/// # Accuracy
/// 1.5e-7, relative.
#[inline(always)]
pub(super) fn exp(v: f32) -> f32 {
    // Adding 1.5 · 2²³ rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with so few bits that its products with the integer are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let v = v.clamp(-87.0, 88.0);
    let shifted = v.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, v));
    let mut p = 1.987_569_1e-4_f32;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = p.mul_add(r, coefficient);
    }
    let two_pow_n = f32::from_bits(shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
    two_pow_n * (p * r).mul_add(r, r + 1.0)
}

/// `ln(1 + u)` for u from 0 to 1, as `2 artanh(u / (2 + u))`.
///
/// # Accuracy
/// 3e-7, relative.
#[inline(always)]
fn ln_1p(u: f32) -> f32 {
    let s = u / (2.0 + u);
    let square = s * s;
    let mut p = 2.0 / 15.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        p = square.mul_add(p, 2.0 / odd);
    }
    s * p
}

/// # Accuracy
/// 3e-7, relative.
#[inline(always)]
fn tanh(v: f32) -> f32 {
    let square = v * v;
    let mut p = -5.704_988_7e-3_f32;
    for coefficient in [2.063_908_8e-2, -5.373_971_6e-2, 0.133_314_42, -0.333_332_8] {
        p = p.mul_add(square, coefficient);
    }
    let near = (p * square).mul_add(v, v);
    let far = (1.0 - 2.0 / (exp(2.0 * v.abs()) + 1.0)).copysign(v);
    if v.abs() < 0.625 { near } else { far }
}

/// Logistic function and softplus of the same value, which share an exponential.
#[inline(always)]
pub(super) fn sigmoid_softplus(v: f32) -> (f32, f32) {
    let u = exp(-v.abs());
    let numerator = if v < 0.0 { u } else { 1.0 };
    // A NaN passes through both.
    (numerator / (1.0 + u), if v < 0.0 { 0.0 } else { v } + ln_1p(u))
}

#[inline(always)]
fn sigmoid(v: f32) -> f32 {
    sigmoid_softplus(v).0
}

#[inline(always)]
fn each_with_bias(values: &mut [f32], bias: &[f32], f: impl Fn(f32) -> f32) {
    for row in values.chunks_exact_mut(bias.len()) {
        for (v, b) in row.iter_mut().zip(bias) {
            *v = f(*v + *b);
        }
    }
}

/// Adds the bias to each row and applies the activation.
pub(crate) fn add_bias_and_activate(values: &mut [f32], bias: &[f32], activation: HiddenActivation) {
    macro_rules! apply {
        ($f:expr) => {
            vectorised(
                #[inline(always)]
                || each_with_bias(values, bias, $f),
            )
        };
    }
    match activation {
        HiddenActivation::Identity => apply!(|v| v),
        HiddenActivation::Relu => apply!(|v| if v < 0.0 { 0.0 } else { v }),
        HiddenActivation::LeakyRelu => apply!(|v| if v < 0.0 { 0.01 * v } else { v }),
        HiddenActivation::Tanh => apply!(tanh),
        HiddenActivation::Silu => apply!(|v| v * sigmoid(v)),
        HiddenActivation::Sigmoid => apply!(sigmoid),
        HiddenActivation::Softplus => apply!(|v| sigmoid_softplus(v).1),
    }
}

/// Adds the bias to each row and gives SiLU of the sums, which stay in `values`.
pub(crate) fn add_bias_and_silu(values: &mut [f32], bias: &[f32]) -> Vec<f32> {
    let mut outputs = vec![0.0; values.len()];
    vectorised(
        #[inline(always)]
        || {
            for (row, outputs) in values.chunks_exact_mut(bias.len()).zip(outputs.chunks_exact_mut(bias.len())) {
                for ((v, b), output) in row.iter_mut().zip(bias).zip(outputs) {
                    *v += b;
                    *output = *v * sigmoid(*v);
                }
            }
        },
    );
    outputs
}

#[inline(always)]
fn each_derivative(gradient: &mut [f32], kept: &[f32], sums: &mut [f32], derivative: impl Fn(f32) -> f32) {
    let width = sums.len();
    for (gradient, kept) in gradient.chunks_exact_mut(width).zip(kept.chunks_exact(width)) {
        for ((g, k), sum) in gradient.iter_mut().zip(kept).zip(sums.iter_mut()) {
            *g *= derivative(*k);
            *sum += *g;
        }
    }
}

/// Takes the gradient of the activation's output to that of its input, and returns its sum over the rows, which is the
/// bias's. `kept` is the activation's output, and its input for SiLU, whose derivative the output does not tell.
pub(crate) fn activation_gradient(
    gradient: &mut [f32],
    kept: &[f32],
    width: usize,
    activation: HiddenActivation,
) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    macro_rules! apply {
        ($f:expr) => {
            vectorised(
                #[inline(always)]
                || each_derivative(gradient, kept, &mut sums, $f),
            )
        };
    }
    match activation {
        HiddenActivation::Identity => vectorised(
            #[inline(always)]
            || {
                for row in gradient.chunks_exact(width) {
                    sums.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
                }
            },
        ),
        HiddenActivation::Relu => apply!(|y| if y > 0.0 { 1.0 } else { 0.0 }),
        HiddenActivation::LeakyRelu => apply!(|y| if y > 0.0 { 1.0 } else { 0.01 }),
        HiddenActivation::Tanh => apply!(|y| 1.0 - y * y),
        HiddenActivation::Silu => apply!(|v| {
            let s = sigmoid(v);
            s * (1.0 + v * (1.0 - s))
        }),
        HiddenActivation::Sigmoid => apply!(|y| y * (1.0 - y)),
        HiddenActivation::Softplus => apply!(|y| 1.0 - exp(-y)),
    }
    sums
}

/// Replaces each position of `values` by the first results of `f` for it and returns the sum of the second ones.
#[inline(always)]
pub(super) fn map_and_sum<const O: usize, const I: usize>(
    values: [&mut [f32]; O],
    inputs: [&[f32]; I],
    f: impl Fn([f32; O], [f32; I]) -> ([f32; O], f32),
) -> f32 {
    let mut sums = [0.0; LANES];
    let mut values = values.map(|v| v.as_chunks_mut::<LANES>());
    let inputs = inputs.map(|i| i.as_chunks::<LANES>());
    for chunk in 0..values[0].0.len() {
        let inputs = inputs.map(|(chunks, _)| &chunks[chunk]);
        let mut values = values.each_mut().map(|(chunks, _)| &mut chunks[chunk]);
        for (lane, sum) in sums.iter_mut().enumerate() {
            let (results, term) = f(values.each_ref().map(|v| v[lane]), inputs.map(|i| i[lane]));
            values.iter_mut().zip(results).for_each(|(v, result)| v[lane] = result);
            *sum += term;
        }
    }
    for lane in 0..values[0].1.len() {
        let (results, term) = f(values.each_ref().map(|(_, rest)| rest[lane]), inputs.map(|(_, rest)| rest[lane]));
        values.iter_mut().zip(results).for_each(|((_, rest), result)| rest[lane] = result);
        sums[lane] += term;
    }
    total(sums)
}

#[inline(always)]
fn total(mut sums: [f32; LANES]) -> f32 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
    }
    sums[0]
}

/// Not finite where a square is not.
pub(crate) fn sum_of_squares(values: &[f32]) -> f32 {
    vectorised(
        #[inline(always)]
        || {
            let mut sums = [0.0; LANES];
            let (chunks, rest) = values.as_chunks::<LANES>();
            for chunk in chunks {
                for (sum, v) in sums.iter_mut().zip(chunk) {
                    *sum += v * v;
                }
            }
            for (sum, v) in sums.iter_mut().zip(rest) {
                *sum += v * v;
            }
            total(sums)
        },
    )
}

/// Multiplies each row by its weight.
pub(crate) fn scale_rows(values: &mut [f32], weights: &[f32]) {
    let width = values.len() / weights.len();
    vectorised(
        #[inline(always)]
        || {
            for (row, weight) in values.chunks_exact_mut(width).zip(weights) {
                row.iter_mut().for_each(|v| *v *= weight);
            }
        },
    );
}

/// The numbers of one of Adam's steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamStep {
    /// Decay of the first and the second moment.
    pub(crate) beta: [f32; 2],
    /// Step size.
    pub(crate) rate: f32,
    /// `√(1 − β₂ᵗ) / (1 − β₁ᵗ)`
    pub(crate) correction: f32,
    /// `ε √(1 − β₂ᵗ)`
    pub(crate) epsilon: f32,
}

/// One step of Adam.
///
/// # Source
/// Kingma & Ba (2015), section 2, the more efficient order of computation.
pub(crate) fn adam(step: AdamStep, parameter: &mut [f32], moments: [&mut [f32]; 2], gradient: &[f32]) {
    let AdamStep { beta: [beta_1, beta_2], rate, correction, epsilon } = step;
    let [first, second] = moments;
    vectorised(
        #[inline(always)]
        || {
            for (((p, m), v), g) in parameter.iter_mut().zip(first.iter_mut()).zip(second.iter_mut()).zip(gradient) {
                *m = *m * beta_1 + g * (1.0 - beta_1);
                *v = *v * beta_2 + g * g * (1.0 - beta_2);
                *p -= *m * correction / (v.sqrt() + epsilon) * rate;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let points = (0..=200_000).map(|i| from + (to - from) * i as f32 / 200_000.0);
        points
            .map(|v| ((f64::from(f(v)) - exact(f64::from(v))) / exact(f64::from(v)).abs().max(1e-30)).abs())
            .fold(0.0, f64::max)
    }

    #[test]
    fn elementary_functions_have_the_accuracy_they_state() {
        let found = [
            worst(exp, f64::exp, -86.9, 88.0),
            worst(ln_1p, f64::ln_1p, 1e-9, 1.0),
            worst(tanh, f64::tanh, 1e-6, 12.0),
            worst(tanh, f64::tanh, -12.0, -1e-6),
            worst(sigmoid, |v| 1.0 / (1.0 + (-v).exp()), -80.0, 80.0),
            worst(|v| sigmoid_softplus(v).1, |v| v.max(0.0) + (-v.abs()).exp().ln_1p(), -80.0, 80.0),
        ];
        for (error, allowed) in found.into_iter().zip([1.5e-7, 3e-7, 3e-7, 3e-7, 3e-7, 3e-7]) {
            assert!(error < allowed, "{found:?}");
        }
        assert!(tanh(0.0) == 0.0 && exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        let (s, p) = sigmoid_softplus(f32::NAN);
        assert!(s.is_nan() && p.is_nan() && tanh(1e30) == 1.0);
    }

    #[test]
    fn a_sum_does_not_lose_what_is_left_over_its_lanes() {
        let x: Vec<f32> = (1..=37).map(|i| i as f32).collect();
        let mut values = vec![2.0; 37];
        let sum = map_and_sum([&mut values], [&x], |[v], [x]| ([v + x], v * x));
        assert!(sum == 2.0 * 37.0 * 38.0 / 2.0 && values[36] == 39.0 && values[0] == 3.0);
    }
}
