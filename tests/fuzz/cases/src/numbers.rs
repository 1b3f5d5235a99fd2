//! Numbers that are seldom tried, from a seed or from a fuzzer's bytes.

use alloc::vec::Vec;

use rand_pcg::{
    Pcg32,
    rand_core::{Rng, SeedableRng},
};

use crate::checksum;

/// Numbers at which arithmetic goes wrong.
pub const EXTREMES: [f32; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-45,
    -1e-40,
    1e19,
    -1e19,
    1e10,
    16_777_216.0,
];

/// Numbers for one run, all of which follow from a seed.
#[derive(Debug)]
pub struct Numbers(Pcg32);

impl Numbers {
    /// Numbers that depend on all of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        Self::seeded(checksum(data).into())
    }

    /// Numbers of this seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Pcg32::seed_from_u64(seed))
    }

    /// The generator, for what draws itself.
    pub fn generator(&mut self) -> &mut Pcg32 {
        &mut self.0
    }

    /// Any 32 bits.
    pub fn bits(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// Below `count`, which is not 0.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.next_u32() as usize % count
    }

    /// Once in `count` times.
    pub fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// An ordinary number, within ± 4, or seldom an extreme one.
    pub fn next(&mut self, extremes: bool) -> f32 {
        let bits = self.0.next_u32();
        match bits >> 28 {
            0 if extremes => EXTREMES[bits as usize % EXTREMES.len()],
            1 if extremes => f32::from_bits(self.0.next_u32()),
            _ => (bits & 0xFFFF) as f32 / 8192.0 - 4.0,
        }
    }

    /// So many of them; all ordinary, all within 0 and 1, or some extreme.
    pub fn vector(&mut self, len: usize) -> Vec<f32> {
        let kind = self.0.next_u32() % 4;
        let number = |numbers: &mut Self| match kind {
            0 => numbers.next(false),
            1 => numbers.next(false).abs() / 4.0,
            2 if numbers.0.next_u32().is_multiple_of(64) => f32::NAN,
            2 => numbers.next(false).abs() / 4.0,
            _ => numbers.next(true),
        };
        (0..len).map(|_| number(self)).collect()
    }

    /// What a constant may be changed to that was `value`.
    pub fn instead_of(&mut self, value: f32) -> f32 {
        match self.below(10) {
            0 | 1 => self.one_of(&EXTREMES),
            2 => f32::from_bits(self.bits()),
            // Subnormal.
            3 => f32::from_bits(self.bits() & 0x807F_FFFF),
            4 => -value,
            5 => value.next_up(),
            6 => value.next_down(),
            7 => self.below(40) as f32,
            // By a power of two.
            8 => value * f32::from_bits((127 + self.below(80) as u32 - 40) << 23),
            _ => value * self.next(false),
        }
    }
}

/// What a fuzzer's bytes ask for, one after the other; zeros once they are used up.
#[derive(Debug)]
pub struct Draws<'d>(&'d [u8]);

impl<'d> Draws<'d> {
    /// From the first of them on.
    #[must_use]
    pub fn of(data: &'d [u8]) -> Self {
        Self(data)
    }

    /// Whether they are used up.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number of a sample or a constant: an extreme one, any bits, or one within −8 and 8.
    pub fn number(&mut self) -> f32 {
        match self.byte() {
            code @ 0..16 => EXTREMES[usize::from(code)],
            16..24 => f32::from_bits(u32::from_le_bytes([(); 4].map(|()| self.byte()))),
            code => (f32::from(code) - 140.0) / 16.0,
        }
    }
}
