//! Activation functions.

use serde::{Deserialize, Serialize};

/// The function applied to each output of a layer.
///
/// # Accuracy
/// `Identity`, `Relu` and `LeakyRelu` round as their formula does. The others are composed from `libm`'s `expf`, `tanhf`
/// and `log1pf` (each below 1 ulp): within 4 ulp of the exact value wherever that is a normal number.
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
            Self::Tanh => libm::tanhf(v),
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
    let tail = libm::log1pf(libm::expf(-v.abs()));
    if v > 0.0 { v + tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_f64_within_4_ulp() {
        for step in -4000..=4000 {
            let v = step as f32 * 0.02;
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
