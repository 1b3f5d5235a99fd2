//! Activations of a layer's integers, by tables: the same bits everywhere, and no floating point. `FORMAT.md`, "`Int8` arithmetic", says what is
//! computed.

use crate::{arithmetic::activation::Activation, kernel::silu};

/// Bits of what an activation is computed from, beside its sign.
const SIZE_BITS: i32 = 15;

/// Fraction bits of the tables' argument and of their values.
const FRACTION_BITS: i32 = 16;
/// 1, with these fraction bits.
const ONE: i32 = 1 << FRACTION_BITS;
/// Of the distance between the tables' arguments, a quarter.
const STEP_BITS: u32 = 14;
/// The greatest argument of which the last entry of a table is the nearest: close to 16, where what is left of the functions is below their unit.
const MOST: u32 = ((SIGMOID.len() as u32) << STEP_BITS) - (1 << (STEP_BITS - 1)) - 1;

/// `σ(−u)` for u = 0, ¼, … 15¾, times 2¹⁶.
static SIGMOID: [u16; 64] = [
    32_768, 28_693, 24_743, 21_025, 17_625, 14_595, 11_955, 9702, 7812, 6249, 4971, 3938, 3108, 2446, 1921, 1506, 1179,
    922, 720, 562, 439, 342, 267, 208, 162, 126, 98, 77, 60, 47, 36, 28, 22, 17, 13, 10, 8, 6, 5, 4, 3, 2, 2, 1, 1, 1,
    1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
/// `ln(1 + e⁻ᵘ)`, likewise.
static SOFTPLUS: [u16; 64] = [
    45_426, 37_745, 31_069, 25_354, 20_530, 16_510, 13_200, 10_500, 8318, 6567, 5170, 4061, 3184, 2493, 1950, 1523,
    1189, 928, 724, 565, 440, 343, 267, 208, 162, 126, 98, 77, 60, 47, 36, 28, 22, 17, 13, 10, 8, 6, 5, 4, 3, 2, 2, 1,
    1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// What [`silu`] reads: an entry more than the table, whose sigmoid is 0 as those before it.
static NEAR: [u32; 65] = {
    let mut near = [ONE as u32 / 2; 65];
    let mut index = 0;
    while index < SIGMOID.len() {
        let sigmoid = SIGMOID[index] as i32;
        near[index] = ((sigmoid * (ONE - sigmoid)) >> FRACTION_BITS << 16 | (ONE / 2 - sigmoid)) as u32;
        index += 1;
    }
    near
};

/// The entry of a table that is nearest to an argument, and what its functions do around it.
struct Near {
    index: usize,
    /// From there.
    distance: i32,
    sigmoid: i32,
    /// `s (1 − s) d`
    step: i32,
    /// `s (1 − s) d² / 2`
    bend: i32,
}

impl Near {
    #[inline(always)]
    fn to(argument: u32) -> Self {
        let index = ((argument + (1 << (STEP_BITS - 1))) >> STEP_BITS) as usize % SIGMOID.len();
        // What is left of the lowest bits, as a number with a sign.
        const UNUSED: u32 = u32::BITS - STEP_BITS;
        let distance = (argument << UNUSED) as i32 >> UNUSED;
        let sigmoid = i32::from(SIGMOID[index]);
        let step = (((sigmoid * (ONE - sigmoid)) >> FRACTION_BITS) * distance) >> FRACTION_BITS;
        Self { index, distance, sigmoid, step, bend: (step * distance) >> (FRACTION_BITS + 1) }
    }

    /// `σ(−u)`, by Taylor's series to the second order: its derivatives are `−s (1 − s)` and `s (1 − s) (1 − 2 s)`.
    #[inline(always)]
    fn sigmoid(&self) -> i32 {
        self.sigmoid - self.step + ((self.bend * (ONE - 2 * self.sigmoid)) >> FRACTION_BITS)
    }

    /// `ln(1 + e⁻ᵘ)`, likewise: its derivatives are `−s` and `s (1 − s)`.
    #[inline(always)]
    fn softplus(&self) -> i32 {
        let softplus = i32::from(SOFTPLUS[self.index]);
        softplus - ((self.sigmoid * self.distance) >> FRACTION_BITS) + self.bend
    }
}

/// Applies an activation that has a table to integers worth `2^exponent`, `magnitude` being the bitwise or of their magnitudes; returns the exponent and the magnitude of
/// what that makes of them. Those of other activations stay as they are.
///
/// # Accuracy
/// Within the sum of `2⁻¹⁴` of the largest magnitude and 8e-5, 1.3e-4 for tanh.
#[inline(never)]
pub(crate) fn activate(activation: Activation, values: &mut [i32], exponent: i32, magnitude: u32) -> (i32, u32) {
    let bits = (u32::BITS - magnitude.leading_zeros()) as i32;
    // Not finer than the tables, and for softplus so that ln 2 has no more bits.
    let finest = if activation == Activation::Softplus { 1 } else { 0 } - FRACTION_BITS;
    let unit = finest.max(exponent + bits - SIZE_BITS);
    let (result, argument) = match activation {
        Activation::Silu | Activation::Softplus => (unit, unit),
        Activation::Sigmoid => (-FRACTION_BITS, unit),
        // `tanh(v) = 1 − 2 σ(−2v)`
        Activation::Tanh => (-FRACTION_BITS + 1, unit + 1),
        Activation::Identity | Activation::Relu | Activation::LeakyRelu(_) => return (exponent, magnitude),
    };
    let (up, down) = ((exponent - unit).clamp(0, 31), (unit - exponent).clamp(0, 31));
    if up > 0 {
        values.iter_mut().for_each(|value| *value <<= up);
    }
    let left = (argument + FRACTION_BITS).min(FRACTION_BITS);
    let tail = (unit + FRACTION_BITS).min(31);
    let magnitude = match activation {
        // `v σ(v) = max(v, 0) − |v| σ(−|v|)`
        Activation::Silu => silu(values, down as u32, left as u32, &NEAR),
        Activation::Tanh => each(values, down, left, |_, sign, near| ((ONE / 2 - near.sigmoid()) ^ sign) - sign),
        // `σ(v) = 1 − σ(−v)`
        Activation::Sigmoid => {
            each(values, down, left, |_, sign, near| ONE / 2 - (((ONE / 2 - near.sigmoid()) ^ !sign) - !sign))
        }
        // `ln(1 + eᵛ) = max(v, 0) + ln(1 + e^−|v|)`
        _ => each(values, down, left, |size, sign, near| (size & !sign) + (near.softplus() >> tail)),
    };
    (result, magnitude)
}

/// Gives the size of each value `v`, its sign (0 or −1), and what is near `|v|` to `function`, and puts what that returns in the value's place. The bitwise or of
/// their magnitudes.
#[inline(never)] // a loop for each activation, which has the registers to itself
fn each(values: &mut [i32], down: i32, left: i32, function: impl Fn(i32, i32, &Near) -> i32) -> u32 {
    let mut magnitude = 0;
    for value in values {
        let size = value.unsigned_abs() >> down;
        *value = function(size as i32, *value >> 31, &Near::to((size << left).min(MOST)));
        magnitude |= (*value ^ (*value >> 31)) as u32;
    }
    magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An activation, its value, and what it may be off beside `2⁻¹⁴` of the largest magnitude.
    type Case = (Activation, fn(f64) -> f64, f64);

    const CASES: [Case; 4] = [
        (Activation::Silu, |v| v / (1.0 + libm::exp(-v)), 8e-5),
        (Activation::Tanh, libm::tanh, 1.3e-4),
        (Activation::Sigmoid, |v| 1.0 / (1.0 + libm::exp(-v)), 8e-5),
        (Activation::Softplus, |v| v.max(0.0) + libm::log1p(libm::exp(-v.abs())), 8e-5),
    ];

    #[test]
    fn tables_are_the_functions() {
        for (index, (sigmoid, softplus)) in SIGMOID.into_iter().zip(SOFTPLUS).enumerate() {
            let u = 0.25 * index as f64;
            assert_eq!(f64::from(sigmoid), libm::round(65_536.0 / (1.0 + libm::exp(u))), "{u}");
            assert_eq!(f64::from(softplus), libm::round(65_536.0 * libm::log1p(libm::exp(-u))), "{u}");
        }
    }

    #[test]
    fn integers_become_what_f64_makes_of_them() {
        for (activation, exact, accuracy) in CASES {
            // From values that are next to nothing to such as have no tail left, with more bits than are used and with fewer.
            for (bits, exponent) in
                [(31, -60), (29, -30), (29, -27), (29, -25), (20, -19), (15, -12), (12, -5), (8, -9), (3, 4), (0, -9)]
            {
                let largest = (1i64 << bits) - 1;
                let values: [i32; 201] = core::array::from_fn(|step| ((step as i64 - 100) * largest / 100) as i32);
                let magnitude = values.iter().fold(0, |bits, value| bits | (value ^ (value >> 31)) as u32);
                let mut found = values;
                let (unit, left) = activate(activation, &mut found, exponent, magnitude);
                let step = |exponent: i32| libm::exp2(f64::from(exponent));
                let accuracy = accuracy + largest as f64 * step(exponent) / 16_384.0;
                for (value, found) in values.into_iter().zip(found) {
                    let (value, found) = (f64::from(value) * step(exponent), f64::from(found) * step(unit));
                    let exact = exact(value);
                    assert!((found - exact).abs() <= accuracy, "{activation:?}({value}): {found} for {exact}");
                }
                assert_eq!(left, found.iter().fold(0, |bits, value| bits | (value ^ (value >> 31)) as u32));
            }
        }
    }

    #[test]
    fn any_integers_at_any_exponent_are_taken() {
        for exponent in [-400, -250, -100, -31, 0, 31, 100, 250, 400] {
            for (activation, ..) in CASES {
                let mut values = [i32::MIN, i32::MAX, 0, 1, -1];
                let (_, magnitude) = activate(activation, &mut values, exponent, i32::MAX as u32);
                assert!(magnitude <= 1 << 17, "{activation:?} {exponent}: {values:?}");
            }
        }
    }

    #[test]
    fn what_has_no_table_stays() {
        for activation in [Activation::Identity, Activation::Relu, Activation::LeakyRelu(0.1)] {
            let mut values = [3, -4];
            assert_eq!((activate(activation, &mut values, 0, 7), values), ((0, 7), [3, -4]));
        }
    }
}
