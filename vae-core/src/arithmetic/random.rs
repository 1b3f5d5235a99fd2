//! Random draws in `f32`: normal, uniform, and coins.

use rand_core::Rng;

/// A draw from `N(0, 1)`, by inverting the distribution function at a uniform 32-bit number.
///
/// One `u32` of the generator makes one draw, so that a stream of draws is reproducible and cheap to skip in.
/// The `f32` arithmetic is the same on every target; `rand_distr`'s normal works in `f64`, which a Cortex-M4F emulates.
///
/// # Accuracy
/// Relative error of the quantile below 1e-6; the largest magnitude that can be drawn is 6.34 (a chance of 1 in 2^33).
///
/// # Source
/// M. J. Wichura (1988), *Algorithm AS 241: The percentage points of the normal distribution*, routine PPND7.
pub fn standard_normal<R: Rng + ?Sized>(rng: &mut R) -> f32 {
    quantile(rng.next_u32())
}

/// Fills a slice with what as many calls of [`standard_normal`] give, faster where a processor computes several at once.
pub fn fill_standard_normal<R: Rng + ?Sized>(draws: &mut [f32], rng: &mut R) {
    const AT_ONCE: usize = 64;
    for draws in draws.chunks_mut(AT_ONCE) {
        let mut bits = [0; AT_ONCE];
        bits.iter_mut().zip(&*draws).for_each(|(bits, _)| *bits = rng.next_u32());
        // Without a branch: six of seven are right.
        for (draw, bits) in draws.iter_mut().zip(bits) {
            let (upper, from_centre) = split(bits);
            *draw = signed(upper, central(from_centre));
        }
        for (draw, bits) in draws.iter_mut().zip(bits) {
            let (upper, from_centre) = split(bits);
            if centre(from_centre) > CENTRAL {
                *draw = signed(upper, in_tail(from_centre));
            }
        }
    }
}

/// The normal quantile at `(bits + ½) / 2³²`.
///
/// The sign is taken from the top bit and the rest kept as an integer, so that both tails are resolved to 2⁻³³.
fn quantile(bits: u32) -> f32 {
    let (upper, from_centre) = split(bits);
    let is_central = centre(from_centre) <= CENTRAL;
    signed(upper, if is_central { central(from_centre) } else { in_tail(from_centre) })
}

const TWO_POW_MINUS_33: f32 = 1.164_153_2e-10;

/// Largest distance from ½ of what [`central`] inverts.
const CENTRAL: f32 = 0.425;

/// Whether u = (bits + ½) / 2³² is above ½, and its distance from there in steps of 2⁻³², the half left out.
fn split(bits: u32) -> (bool, u32) {
    let upper = bits >> 31 == 1;
    (upper, if upper { bits - (1 << 31) } else { (1 << 31) - 1 - bits })
}

fn signed(upper: bool, magnitude: f32) -> f32 {
    if upper { magnitude } else { -magnitude }
}

/// |u − ½|
fn centre(from_centre: u32) -> f32 {
    (2.0 * from_centre as f32 + 1.0) * TWO_POW_MINUS_33
}

fn central(from_centre: u32) -> f32 {
    let centre = centre(from_centre);
    let r = 0.180_625 - centre * centre;
    centre * (((59.109_375 * r + 159.291_13) * r + 50.434_27) * r + 3.387_132_7)
        / (((67.187_56 * r + 78.757_76) * r + 17.895_17) * r + 1.0)
}

fn in_tail(from_centre: u32) -> f32 {
    let from_end = (1 << 31) - 1 - from_centre;
    // min(u, 1 − u), in steps of its own end.
    let tail = (2.0 * from_end as f32 + 1.0) * TWO_POW_MINUS_33;
    let r = libm::sqrtf(-libm::logf(tail));
    if r <= 5.0 {
        let r = r - 1.6;
        (((0.170_238_21 * r + 1.306_728_5) * r + 2.756_815_4) * r + 1.423_437_3)
            / ((0.120_211_33 * r + 0.737_001_64) * r + 1.0)
    } else {
        let r = r - 5.0;
        (((0.017_337_204 * r + 0.428_682_95) * r + 3.081_226_4) * r + 6.657_905)
            / ((0.012_258_202 * r + 0.241_978_94) * r + 1.0)
    }
}

/// A draw from the uniform distribution over `[0, 1)`, in steps of 2⁻²⁴.
pub(crate) fn uniform<R: Rng + ?Sized>(rng: &mut R) -> f32 {
    const STEP: f32 = 1.0 / 16_777_216.0;
    (rng.next_u32() >> 8) as f32 * STEP
}

/// 1 with the given chance, else 0.
pub(crate) fn coin<R: Rng + ?Sized>(chance: f32, rng: &mut R) -> f32 {
    if uniform(rng) < chance { 1.0 } else { 0.0 }
}

#[cfg(test)]
pub(crate) mod tests {
    use rand_core::{TryRng, utils};

    use super::*;

    /// SplitMix64 (Steele, Lea & Flood 2014): small, seeded, good enough to sample from.
    pub(crate) struct SplitMix(pub(crate) u64);

    impl TryRng for SplitMix {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            self.try_next_u64().map(|word| (word >> 32) as u32)
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            Ok(z ^ (z >> 31))
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            utils::fill_bytes_via_next_word(bytes, || self.try_next_u64())
        }
    }
    /// Φ(v), by libm's f64 complementary error function.
    fn distribution(v: f64) -> f64 {
        0.5 * libm::erfc(-v / core::f64::consts::SQRT_2)
    }

    #[test]
    #[cfg_attr(miri, ignore = "too many values for an interpreter")]
    fn quantile_inverts_the_f64_distribution_function() {
        // The derivative of the quantile is 1/φ, so an error in probability p becomes one of p / φ(v) in v.
        for index in (0..u32::MAX - 70_001).step_by(70_001).chain([0, 1, 2, 1000, u32::MAX, (1 << 31) - 1, 1 << 31]) {
            let v = f64::from(quantile(index));
            let u = (f64::from(index) + 0.5) / 4_294_967_296.0;
            let density = libm::exp(-0.5 * v * v) / libm::sqrt(2.0 * core::f64::consts::PI);
            // Compared in the nearer tail, where the difference of probabilities keeps its digits.
            let error = if u < 0.5 { distribution(v) - u } else { (1.0 - u) - distribution(-v) };
            assert!(
                libm::fabs(error) / density <= 1e-6 * libm::fabs(v) + 1e-9,
                "at {u}: {v}, off by {}",
                error / density
            );
        }
    }

    #[test]
    fn many_draws_are_those_of_as_many_calls() {
        let mut one_by_one = SplitMix(7);
        let mut at_once = SplitMix(7);
        let mut draws = [0.0f32; 1001];
        for _ in 0..3 {
            fill_standard_normal(&mut draws, &mut at_once);
            assert!(draws.iter().all(|draw| draw.to_bits() == standard_normal(&mut one_by_one).to_bits()));
        }
    }

    #[test]
    fn quantile_is_odd() {
        for bits in [0, 1, 77, 1 << 20, (1 << 31) - 1] {
            assert_eq!(quantile(bits), -quantile(u32::MAX - bits));
        }
    }
}
