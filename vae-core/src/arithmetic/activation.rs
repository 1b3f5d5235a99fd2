//! Activation functions.

use serde::{Deserialize, Serialize};

/// The function applied to each output of a layer.
///
/// # Accuracy
/// `Identity`, `Relu` and `LeakyRelu` round as their formula does. The others are composed from `libm`'s `expf` (below 1 ulp)
/// and short series: within 4 ulp of the exact value wherever that is a normal number. In an int8 layer these are computed of integers, by tables: within
/// the sum of `2⁻¹⁴` of the layer's largest magnitude and 8e-5, tanh 1.3e-4.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Activation {
    /// `v`
    Identity,
    /// `v` where positive, else 0.
    Relu,
    /// `v` where positive, else `v` times the slope given here.
    LeakyRelu(f32),
    /// The hyperbolic tangent.
    Tanh,
    /// `v · sigmoid(v)`, also called swish (Elfwing, Uchibe & Doya 2018).
    Silu,
    /// `1 / (1 + e⁻ᵛ)`
    Sigmoid,
    /// `ln(1 + eᵛ)`
    Softplus,
}

impl Activation {
    /// The function's value at `v`.
    #[must_use]
    pub fn apply(self, v: f32) -> f32 {
        match self {
            Self::Identity => v,
            Self::Relu if v > 0.0 => v,
            Self::Relu => 0.0,
            Self::LeakyRelu(_) if v > 0.0 => v,
            Self::LeakyRelu(slope) => slope * v,
            Self::Tanh => tanh(v),
            Self::Silu => v * sigmoid(v),
            Self::Sigmoid => sigmoid(v),
            Self::Softplus => softplus(v),
        }
    }
}

/// `1 / (1 + e⁻ᵛ)`, with the exponent kept negative so that nothing overflows.
pub(crate) fn sigmoid(v: f32) -> f32 {
    let e = libm::expf(-v.abs());
    if v < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

/// `ln(1 + eᵛ)` as `max(v, 0) + ln(1 + e^−|v|)`, which neither overflows nor loses the tail.
pub(crate) fn softplus(v: f32) -> f32 {
    let tail = ln_1p(libm::expf(-v.abs()));
    if v > 0.0 { v + tail } else { tail }
}

/// The hyperbolic tangent, as `(1 − e^−2|v|) / (1 + e^−2|v|)` with the sign of v.
fn tanh(v: f32) -> f32 {
    let less_one = expm1(-2.0 * v.abs());
    let magnitude = -less_one / (less_one + 2.0);
    if v < 0.0 { -magnitude } else { magnitude }
}

/// `eᵛ − 1`, within 4 ulp: a series where the difference would cancel.
pub(crate) fn expm1(v: f32) -> f32 {
    /// `1/n!` from n = 9 down to 1: the next term is below 1e-9 of the sum.
    const COEFFICIENTS: [f32; 9] =
        [1.0 / 362_880.0, 1.0 / 40_320.0, 1.0 / 5_040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
    if v.abs() < 0.5 { v * polynomial(&COEFFICIENTS, v) } else { libm::expf(v) - 1.0 }
}

/// `ln(1 + e)` for e in 0…1, within 2 ulp: `2 artanh(s)` with `s = e / (2 + e)`, at most 1/3.
fn ln_1p(e: f32) -> f32 {
    /// `2/n` for odd n from 15 down to 1: the next term is below 1e-8 of the sum.
    const COEFFICIENTS: [f32; 8] =
        [2.0 / 15.0, 2.0 / 13.0, 2.0 / 11.0, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0, 2.0];
    let s = e / (2.0 + e);
    s * polynomial(&COEFFICIENTS, s * s)
}

/// A polynomial in `v`, its highest coefficient first.
fn polynomial(coefficients: &[f32], v: f32) -> f32 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * v + coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "too many values for an interpreter")]
    fn agrees_with_f64_within_4_ulp() {
        // Large steps, and small ones around zero.
        for v in (-4000..=4000).flat_map(|step| [step as f32 * 0.02, step as f32 * 0.000_4]) {
            let x = f64::from(v);
            let sigmoid = 1.0 / (1.0 + libm::exp(-x));
            let cases = [
                (Activation::Identity, x),
                (Activation::Relu, if x > 0.0 { x } else { 0.0 }),
                (Activation::LeakyRelu(0.125), if x > 0.0 { x } else { 0.125 * x }),
                (Activation::Tanh, libm::tanh(x)),
                (Activation::Silu, x * sigmoid),
                (Activation::Sigmoid, sigmoid),
                (Activation::Softplus, if x > 30.0 { x + libm::exp(-x) } else { libm::log1p(libm::exp(x)) }),
            ];
            for (activation, exact) in cases {
                let found = f64::from(activation.apply(v));
                let ulp = exact.abs().max(f64::from(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
                assert!((found - exact).abs() <= 4.0 * ulp, "{activation:?}({v}): {found} instead of {exact}");
            }
        }
    }
}
