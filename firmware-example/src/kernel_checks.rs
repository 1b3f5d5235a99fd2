//! The kernels of `vae-core` that this target uses, against plain 64-bit sums and the portable kernels.
//!
//! The host's tests include this file as well, so that one text checks every kernel.

use vae_core::kernel::{self, FRACTION_BITS, ROW_WORDS, portable};

const MOST_ROWS: usize = 12;
const MOST_COLUMNS: usize = 720;

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Rows and columns, or the vector's length and something that tells the case.
    pub shape: (usize, usize),
}

/// A linear congruential generator's high halfword (Knuth's MMIX constants in 64 bits).
struct Random(u64);

impl Random {
    fn word(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn within(&mut self, most: u32) -> u32 {
        self.word() % (most + 1)
    }

    /// A number of either sign below 2^`exponent`, over many magnitudes.
    fn number(&mut self, exponent: u32) -> f32 {
        f32::from_bits((self.word() & 0x807F_FFFF) | ((127 + exponent - 1 - self.within(20)) << 23))
    }

    /// A number of either sign around the least normal one, denormal or not.
    fn tiny(&mut self) -> f32 {
        f32::from_bits((self.word() & 0x807F_FFFF) | (self.within(4) << 23))
    }
}

/// Checks every kernel; returns the number of cases.
///
/// # Errors
/// The first difference.
pub fn check() -> Result<u32, Difference> {
    let mut random = Random(1);
    let mut cases = 0;
    let ends = [1, 2, 3, 4, 5, 8, 27, 28, 31, 32, 33, 36, 60, 64, 68, 128, 220, 224, 228, 250, 252, 256, 260, 448, 640];
    for columns in ends.into_iter().chain([700, MOST_COLUMNS]) {
        for rows in [1, 2, 4, 7, MOST_ROWS] {
            // Every weight is as extreme as every activation, of either sign, or both are random, with zeros between.
            for case in 0..8 {
                rows_case(rows, columns, case, &mut random)?;
                cases += 1;
            }
        }
    }
    for len in (0..40).chain([48, 63]) {
        vectors_case(len, &mut random)?;
        rows_f32_case(len, &mut random, |random| random.number(3))?;
        rows_f32_case(len, &mut random, Random::tiny)?;
        tiny_case(len, &mut random)?;
        fused_case(len, &mut random)?;
        silu_case(len, &mut random)?;
        cases += 6;
    }
    Ok(cases)
}

fn rows_case(rows: usize, columns: usize, case: u32, random: &mut Random) -> Result<(), Difference> {
    let mut weights = [0u32; MOST_ROWS * MOST_COLUMNS / 4];
    let mut x = [0u32; MOST_COLUMNS / 2];
    let mut constants = [[0; ROW_WORDS]; MOST_ROWS / 4];
    let (blocks, padded) = (rows.div_ceil(4), columns.next_multiple_of(4));
    let weights = &mut weights[..blocks * padded];
    let x = &mut x[..padded / 2];
    let constants = &mut constants[..blocks];
    for word in weights.iter_mut() {
        let extreme = match case {
            0..3 => None,
            3 => Some(i16::MAX),
            4 | 5 => Some(i16::MIN),
            6 => Some(127 * 256 + 127),
            _ => Some(-127 * 256 - 127),
        };
        *word = extreme.map_or_else(|| random.word(), |half| u32::from(half as u16) * 0x1_0001);
    }
    for column in 0..columns {
        let value = match case {
            0 => random.within(512) as i32 - 256,
            1 => random.within(256) as i32,
            2 if random.within(1) == 0 => 0,
            2 => random.within(512) as i32 - 256,
            3 | 4 | 6 => 256,
            _ => -256,
        };
        x[column / 2] |= u32::from(value as i16 as u16) << (16 * (column % 2));
    }
    for block in constants.iter_mut() {
        for word in block.iter_mut() {
            *word = random.word() as i32 >> 3;
        }
        // Multipliers are not negative.
        block[4] &= 0x7FFF_7FFF;
        block[5] &= 0x7FFF_7FFF;
    }
    let (shift, relu) = (random.within(31), random.within(1) == 1);
    let mut found = [i32::MAX; MOST_ROWS];
    let found = &mut found[..4 * blocks];
    let magnitude = kernel::rows_int8(weights, x, constants, shift, relu, found);

    let mut bits = 0;
    for (row, found) in found.iter().enumerate() {
        let (block, pair, lane) = (row / 4, row % 4 / 2, row % 2);
        let mut sum = 0i64;
        for column in 0..padded {
            let place = block * 2 * padded + column / 4 * 8 + 4 * pair + column % 4;
            let half = (weights[place / 2] >> (16 * (place % 2))) as i16;
            let low = i64::from(half as i8);
            let weight = if lane == 1 { low } else { (i64::from(half) - low) / 256 };
            sum += weight * i64::from((x[column / 2] >> (16 * (column % 2))) as i16);
        }
        let multiplier = (constants[block][4 + pair] >> (16 * lane)) as i16;
        let scaled = ((sum * i64::from(multiplier)) >> 16) + i64::from(constants[block][row % 4] >> shift);
        let expected = if relu && scaled < 0 { 0 } else { scaled };
        if i64::from(*found) != expected {
            return Err(Difference { kernel: "rows_int8", shape: (rows, columns) });
        }
        bits |= (*found ^ (*found >> 31)) as u32;
    }
    if bits != magnitude {
        return Err(Difference { kernel: "rows_int8's magnitude", shape: (rows, columns) });
    }
    Ok(())
}

fn rows_f32_case(columns: usize, random: &mut Random, input: fn(&mut Random) -> f32) -> Result<(), Difference> {
    let (mut weights, mut x) = ([0.0; 8 * 64], [0.0; 64]);
    let (weights, x) = (&mut weights[..8 * columns], &mut x[..columns]);
    weights.fill_with(|| random.number(3));
    x.fill_with(|| input(random));
    let mut found = [7.0; 8];
    kernel::sums_f32(weights, x, &mut found);
    for (row, found) in found.iter().enumerate() {
        // Rounded after each product and each sum, in the order of the columns.
        let (mut sum, block) = (0.0, row / 4 * 4 * columns);
        for (column, x) in x.iter().enumerate() {
            sum += weights[block + 4 * column + row % 4] * x;
        }
        if sum.to_bits() != found.to_bits() {
            return Err(Difference { kernel: "sums_f32", shape: (8, columns) });
        }
    }
    Ok(())
}

/// Denormal numbers are numbers, and what is not observed stays so.
fn tiny_case(len: usize, random: &mut Random) -> Result<(), Difference> {
    let (mut x, mut mean, mut inverse_scale) = ([0.0; 64], [0.0; 64], [0.0; 64]);
    x[..len].fill_with(|| random.tiny());
    mean[..len].fill_with(|| if random.within(1) == 0 { 0.0 } else { random.tiny() });
    inverse_scale[..len].fill_with(|| random.number(2));
    for unknown in [63, len / 2] {
        x[unknown] = f32::NAN;
        let (mut found, mut expected) = ([7.0; 64], [7.0; 64]);
        kernel::standardise(&x[..len], &mean[..len], &inverse_scale[..len], &mut found[..len]);
        portable::standardise(&x[..len], &mean[..len], &inverse_scale[..len], &mut expected[..len]);
        let same = |(found, expected): (&f32, &f32)| {
            found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan())
        };
        if !found.iter().zip(&expected).all(same) {
            return Err(Difference { kernel: "standardise", shape: (len, unknown) });
        }
    }
    Ok(())
}

/// What is done in one pass is what is done in several, up to where it cannot be.
fn fused_case(len: usize, random: &mut Random) -> Result<(), Difference> {
    const ONE: f32 = (1 << FRACTION_BITS) as f32;
    let limits = [f32::NAN, f32::INFINITY, 4.0, -4.0, -4.000_000_5, 32.0, 32.001, -32.0, -31.999_998];
    for case in 0..2 * limits.len() {
        let (mut x, mut mean, mut inverse_scale, mut means) = ([0.0; 64], [0.0; 64], [1.0; 64], [0; 64]);
        x[..len].fill_with(|| random.number(2));
        mean[..len].fill_with(|| random.number(0));
        inverse_scale[..len].fill_with(|| random.number(0));
        means[..len].fill_with(|| random.word() as i32 >> 8);
        let place = random.within(63) as usize;
        if let Some(limit) = limits.get(case) {
            (x[place], mean[place], inverse_scale[place]) = (*limit, 0.0, 1.0);
        }
        let differs = |kernel, same: bool| if same { Ok(()) } else { Err(Difference { kernel, shape: (len, case) }) };
        let mut values = [0.0; 64];
        portable::standardise(&x[..len], &mean[..len], &inverse_scale[..len], &mut values[..len]);

        let (mut found, mut expected) = ([7i16; 64], [7i16; 64]);
        let taken = kernel::take_in(&x[..len], &mean[..len], &inverse_scale[..len], &mut found[..len]);
        let far = values[..len].iter().position(|value| !(-4.0..4.0).contains(value)).unwrap_or(len);
        differs("take_in's end", taken == far / 8 * 8)?;
        portable::quantise(&values[..taken], 1.5 * 8_388_608.0 / 32.0, &mut expected);
        differs("take_in", found == expected)?;

        for shift in [1, 9, 31] {
            let sum = kernel::near_squares(&x[..len], &mean[..len], &inverse_scale[..len], &means[..len], shift);
            let is_near = |value: &f32| -32_768.0 < value * ONE && value * ONE < 32_769.0;
            let square = |(value, mean): (&f32, &i32)| {
                (i64::from((value * ONE) as i32) - i64::from(mean >> shift)).unsigned_abs().pow(2)
            };
            let exact: u64 = values[..len].iter().zip(&means).map(square).sum();
            let expected = u32::try_from(exact).ok().filter(|_| values[..len].iter().all(is_near));
            differs("near_squares", sum == expected)?;
        }

        x[random.within(63) as usize] = -f32::NAN;
        let (mut kept, mut own) = (x, means);
        let (missing, observed) = kernel::forget(&mut kept[..len], &mut own[..len], &mean[..len]);
        let mut sums = [0.0; 2];
        for index in 0..len {
            let is_missing = x[index].is_nan();
            sums[usize::from(is_missing)] += mean[index];
            let (value, place) = if is_missing { (0.0, 0) } else { (x[index], means[index]) };
            differs("forget", (value.to_bits(), place) == (kept[index].to_bits(), own[index]))?;
        }
        differs("forget's sums", [observed, missing].map(f32::to_bits) == sums.map(f32::to_bits))?;
    }
    Ok(())
}

/// As `FORMAT.md` says, in 64 bits, by a table of any numbers that fall.
fn silu_case(len: usize, random: &mut Random) -> Result<(), Difference> {
    let (mut near, mut sigmoids) = ([1 << 15; 65], [0i64; 64]);
    let mut sigmoid = 1u32 << 15;
    for (near, place) in near.iter_mut().zip(&mut sigmoids[..60]) {
        *place = i64::from(sigmoid);
        *near = ((sigmoid * ((1 << 16) - sigmoid)) >> 16) << 16 | ((1 << 15) - sigmoid);
        sigmoid -= random.within(sigmoid / 4);
    }
    for (down, left) in [(0, 16), (0, 0), (16, 3), (3, 8), (14, 15)] {
        let mut values = [0; 64];
        values[..len].fill_with(|| random.word() as i32 >> (16 - down) >> random.within(15));
        values[random.within(63) as usize] = i32::MIN >> (16 - down);
        let mut found = values;
        let magnitude = kernel::silu(&mut found[..len], down, left, &near);
        let mut bits = 0;
        for (value, found) in values[..len].iter().zip(&found) {
            let size = i64::from(value.unsigned_abs() >> down);
            let argument = (size << left).min((1 << 20) - (1 << 13) - 1);
            let index = (argument + (1 << 13)) >> 14;
            let (s, d) = (sigmoids[index as usize], argument - (index << 14));
            let p = (((s * ((1 << 16) - s)) >> 16) * d) >> 16;
            let tail = s - p + ((((p * d) >> 17) * ((1 << 16) - 2 * s)) >> 16);
            let expected = if *value < 0 { 0 } else { size } - ((size * tail + (1 << 15)) >> 16);
            if i64::from(*found) != expected {
                return Err(Difference { kernel: "silu", shape: (len, left as usize) });
            }
            bits |= (*found ^ (*found >> 31)) as u32;
        }
        if bits != magnitude {
            return Err(Difference { kernel: "silu's magnitude", shape: (len, left as usize) });
        }
    }
    Ok(())
}

fn vectors_case(len: usize, random: &mut Random) -> Result<(), Difference> {
    let mut vector = |exponent: u32| {
        let mut values = [0.0; 64];
        values[..len].fill_with(|| random.number(exponent));
        values
    };
    let (x, mean, inverse_scale) = (vector(10), vector(8), vector(4));
    let differs = |kernel, same: bool| if same { Ok(()) } else { Err(Difference { kernel, shape: (len, 0) }) };

    let (mut found, mut expected) = ([7.0; 64], [7.0; 64]);
    kernel::standardise(&x[..len], &mean[..len], &inverse_scale[..len], &mut found[..len]);
    portable::standardise(&x[..len], &mean[..len], &inverse_scale[..len], &mut expected[..len]);
    differs("standardise", found.map(f32::to_bits) == expected.map(f32::to_bits))?;

    // Steps of 8: the largest value is below 128 of them.
    let (mut halfwords, mut rounded) = ([7i16; 65], [7i16; 65]);
    for start in [0, 1] {
        kernel::quantise(&x[..len], 1.5 * 8.0 * 8_388_608.0, &mut halfwords[start..start + len]);
        portable::quantise(&x[..len], 1.5 * 8.0 * 8_388_608.0, &mut rounded[start..start + len]);
        differs("quantise", halfwords == rounded)?;
    }
    for (value, rounded) in x[..len].iter().zip(&rounded[1..]) {
        let distance = i64::from(*rounded) * 8 * 1024 - i64::from((value * 1024.0) as i32);
        differs("quantise's rounding", distance.abs() <= 4 * 1024)?;
    }

    let integers = x.map(|value| (value * 1e6) as i32);
    for (start, shift) in [(0, 0), (1, 1), (0, 22), (1, 30)] {
        kernel::requantise(&integers[..len], shift, &mut halfwords[start..start + len]);
        for (integer, found) in integers[..len].iter().zip(&halfwords[start..]) {
            let half = if shift > 0 { 1i64 << (shift - 1) } else { 0 };
            differs("requantise", ((i64::from(*integer) + half) >> shift) as i16 == *found)?;
        }
    }

    let largest =
        x[..len].iter().fold(0.5f32, |largest, value| if value.abs() > largest { value.abs() } else { largest });
    differs("largest_bits", kernel::largest_bits(&x[..len], 0.5f32.to_bits()) == largest.to_bits())?;

    // Every fifth value is one of these, and every seventh was infinite before.
    let extremes = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 100.0, -100.0];
    let before: [f32; 64] = core::array::from_fn(|index| if index % 7 == 6 { f32::INFINITY } else { 1.0 });
    for first in 0..7 {
        let mut values: [f32; 64] = core::array::from_fn(|index| match extremes.get(index / 5 % 7) {
            Some(extreme) if index % 5 == first => *extreme,
            _ => x.get(index).copied().unwrap_or_default(),
        });
        let mut expected = values;
        let mended = kernel::mend(&mut values[..len], &before, 100.0);
        differs("mend's findings", mended == portable::mend(&mut expected[..len], &before, 100.0))?;
        differs("mend", values.map(f32::to_bits) == expected.map(f32::to_bits))?;
        let is_mended = |value: &f32| (-100.0..=100.0).contains(value);
        differs("mend's limits", values[..len].iter().all(is_mended))?;
    }

    for shift in [0, 3, 31] {
        // Small enough after the shift for the differences to be near.
        let means = integers.map(|value| value >> (18 - shift.min(10)));
        let (sum, magnitude) = kernel::squared_differences(&x[..len], &means[..len], shift);
        let (mut exact, mut bits) = (0u64, 0);
        for (x, mean) in x.iter().zip(means).take(len) {
            let difference = ((x * (1 << FRACTION_BITS) as f32) as i32).wrapping_sub(mean >> shift);
            bits |= difference ^ (difference >> 31);
            exact += u64::from(difference.unsigned_abs()).pow(2);
        }
        differs("squared_differences' magnitude", bits as u32 == magnitude)?;
        differs("squared_differences", bits as u32 >= 1 << 28 || exact == sum)?;
    }
    Ok(())
}
