//! An int8 layer's rows on cores that have sums of their own and nothing else.

use super::{ROW_WORDS, portable::scale_rows, sums_int8};

/// What [`super::portable::rows_int8`] computes.
pub fn rows_int8(
    weights: &[u32],
    x: &[u32],
    rows: &[[i32; ROW_WORDS]],
    shift: u32,
    relu: bool,
    out: &mut [i32],
) -> u32 {
    sums_int8(weights, x, out);
    scale_rows(out, rows, shift, relu)
}
