//! Matrix–vector products, the only loops whose speed matters.
//!
//! All kernels give the same bits: integer sums are exact, and `f32` sums run over the columns in ascending order.

mod portable;

pub(crate) use portable::{dot_f32, dot_int8};

/// Columns that are summed before the packed accumulators are unpacked.
///
/// `128 · 127 · 512 < 2²³`: the sum over a row of this many columns survives the packing whatever the weights are.
pub(crate) const FLUSH_COLUMNS: usize = 512;

/// Columns of an int8 row are padded with zeros to a multiple of this.
pub(crate) const COLUMN_GROUP: usize = 4;
