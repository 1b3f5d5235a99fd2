//! The sizes of layers, and of the scratch that they need.

use crate::{
    format::kind::Precision,
    kernel::{COLUMN_GROUP, ROW_BLOCK},
};

/// Rows and columns of a layer, and features, are at most this.
pub const MAX_LAYER_SIDE: usize = 65_536;

/// Columns of an int8 layer are at most this, so that its sums are exact in 32 bits.
pub const MAX_INT8_COLUMNS: usize = 32_768;

/// Features, and rows of a last layer, that are computed at a time.
pub(crate) const CHUNK: usize = 48;

/// `f32`s of scratch that the input of a layer with this many columns takes.
#[must_use]
pub const fn vector_len(precision: Precision, columns: usize) -> usize {
    match precision {
        Precision::F32 => columns,
        Precision::Int8 => columns.next_multiple_of(COLUMN_GROUP) / 2,
    }
}

/// `f32`s of scratch that the output of a hidden layer with this many rows takes; two chunks have room in it too.
#[must_use]
pub const fn hidden_len(rows: usize) -> usize {
    let padded = padded_rows(rows);
    if padded < 2 * CHUNK { 2 * CHUNK } else { padded }
}

/// Rows of a layer, with the zero rows that fill its last block.
#[must_use]
pub const fn padded_rows(rows: usize) -> usize {
    rows.next_multiple_of(ROW_BLOCK)
}
