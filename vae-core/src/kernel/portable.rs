//! The kernels in plain Rust.

use super::{COLUMN_GROUP, FLUSH_COLUMNS};

/// Dot products of `R` rows with `x`.
///
/// `weights` holds, for each column, the `R` rows' weights side by side. Each row is summed over ascending columns,
/// starting from zero.
#[inline]
pub(crate) fn dot_f32<const R: usize>(weights: &[f32], x: &[f32]) -> [f32; R] {
    let mut sums = [0.0; R];
    for (column, &x) in weights.as_chunks::<R>().0.iter().zip(x) {
        for (sum, &weight) in sums.iter_mut().zip(column) {
            *sum += weight * x;
        }
    }
    sums
}

/// Exact dot products of `P` pairs of rows with `x`, as `(A, B)` for each pair.
///
/// Each halfword of `weights` is `256 · A + B` for one column of a pair of rows A and B; halfwords come in groups of four
/// columns, pair after pair inside a group. `x` holds quantised activations in −127…127, padded to whole groups.
/// `Σ h · x` is `256 · ΣAx + ΣBx`, and summing the low bytes alone gives `ΣBx`, so two multiplications serve two products
/// that were loaded together.
#[inline]
pub(crate) fn dot_int8<const P: usize>(weights: &[i16], x: &[i16]) -> [(i32, i32); P] {
    let mut sums = [(0i32, 0i32); P];
    for (weights, x) in weights.chunks(FLUSH_COLUMNS * P).zip(x.chunks(FLUSH_COLUMNS)) {
        let mut packed = [0i32; P];
        let mut low = [0i32; P];
        let groups = weights.as_chunks::<COLUMN_GROUP>().0;
        for (group, x) in groups.as_chunks::<P>().0.iter().zip(x.as_chunks::<COLUMN_GROUP>().0) {
            for ((packed, low), halfwords) in packed.iter_mut().zip(&mut low).zip(group) {
                for (&halfword, &x) in halfwords.iter().zip(x) {
                    *packed = packed.wrapping_add(i32::from(halfword) * i32::from(x));
                    *low = low.wrapping_add(i32::from(halfword as i8) * i32::from(x));
                }
            }
        }
        for ((sum, packed), low) in sums.iter_mut().zip(packed).zip(low) {
            sum.0 = sum.0.wrapping_add(packed.wrapping_sub(low) >> 8);
            sum.1 = sum.1.wrapping_add(low);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unpacks a halfword into its two weights and sums in i64, column by column.
    fn plain<const P: usize>(weights: &[i16], x: &[i16]) -> [(i64, i64); P] {
        let mut sums = [(0, 0); P];
        for (index, &halfword) in weights.iter().enumerate() {
            let (group, within) = (index / (4 * P), index % (4 * P));
            let b = i64::from(halfword as i8);
            let a = (i64::from(halfword) - b) / 256;
            let x = i64::from(x[4 * group + within % 4]);
            sums[within / 4].0 += a * x;
            sums[within / 4].1 += b * x;
        }
        sums
    }

    fn check<const P: usize>(weights: &[i16], x: &[i16]) {
        let found = dot_int8::<P>(weights, x).map(|(a, b)| (i64::from(a), i64::from(b)));
        assert_eq!(found, plain::<P>(weights, x), "{} columns", x.len());
    }

    #[test]
    fn agrees_with_plain_i64_sums_whatever_the_halfwords_are() {
        let mut state = 1u32;
        let mut next = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16
        };
        for columns in (4..=40).step_by(4).chain([508, 512, 516, 1024, 1040, 2048]) {
            let mut weights = [0i16; 2 * 2048];
            let mut x = [0i16; 2048];
            for extreme in
                [None, Some((i16::MAX, 127)), Some((i16::MIN, 127)), Some((i16::MIN, -127)), Some((-32640, -127))]
            {
                weights.fill_with(|| extreme.map_or_else(&mut next, |(w, _)| w));
                x.fill_with(|| extreme.map_or_else(|| next() % 128, |(_, x)| x));
                check::<1>(&weights[..columns], &x[..columns]);
                check::<2>(&weights[..2 * columns], &x[..columns]);
            }
        }
    }

    #[test]
    fn f32_rows_are_summed_in_ascending_order() {
        let weights = [1.0, 2.0, 1e8, 1.0, -1e8, 0.5];
        assert_eq!(dot_f32::<2>(&weights, &[1.0, 1.0, 1.0]), [1.0 + 1e8 - 1e8, 3.5]);
        assert_eq!(dot_f32::<1>(&[1e8, 1.0, -1e8], &[1.0, 1.0, 1.0]), [(1e8 + 1.0) - 1e8]);
    }
}
