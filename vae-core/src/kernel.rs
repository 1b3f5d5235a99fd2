//! The loops whose speed matters, matrix–vector products above all, and the only place with `unsafe`.
//!
//! All kernels give the same bits: integer sums are exact, and `f32` sums run over the columns in ascending order. Which one
//! is used is decided by the target when the program is built (`build.rs`), and for a core with vectors by `--cfg vae_mve`;
//! `docs/performance.md` says what each costs.
//!
//! Public for the checks that run them on the target; not part of the interface.

/// Tells the assembler that the core has the DSP extension, which the name of an ARMv8-M target does not say.
#[cfg(vae_v8m)]
macro_rules! dsp {
    () => {
        ".cpu cortex-m33"
    };
}
#[cfg(all(vae_dsp, not(vae_v8m)))]
macro_rules! dsp {
    () => {
        ""
    };
}

#[cfg(vae_v6m)]
mod armv6m;
#[cfg(vae_v7m)]
mod armv7m;
#[cfg(any(vae_v6m, vae_v7m, vae_riscv32))]
mod composed;
#[cfg(vae_dsp)]
mod curve;
#[cfg(all(vae_dsp, not(vae_vectors)))]
mod dsp;
#[cfg(all(vae_dsp, not(vae_vectors)))]
mod dsp_rows;
// With vectors, only for denormal numbers.
#[cfg(vae_fpu)]
#[cfg_attr(vae_vectors, allow(dead_code, unreachable_pub))]
mod fpu;
#[cfg(all(vae_fpu, not(vae_vectors)))]
mod fused;
#[cfg(vae_vectors)]
mod mve;
#[cfg(vae_vectors)]
mod mve_vectors;
pub mod portable;
#[cfg(vae_riscv32)]
mod riscv32;
#[cfg(any(test, vae_soft))]
pub mod soft;

#[cfg(vae_v6m)]
pub use armv6m::sums_int8;
#[cfg(vae_v7m)]
pub use armv7m::sums_int8;
#[cfg(any(vae_v6m, vae_v7m, vae_riscv32))]
pub use composed::rows_int8;
#[cfg(vae_dsp)]
pub use curve::silu;
#[cfg(all(vae_dsp, not(vae_vectors)))]
pub use dsp::{largest_bits, mend, requantise};
#[cfg(all(vae_dsp, not(vae_vectors)))]
pub use dsp_rows::rows_int8;
#[cfg(all(vae_fpu, not(vae_vectors)))]
pub use fpu::{quantise, squared_differences, standardise, sums_f32};
#[cfg(all(vae_fpu, not(vae_vectors)))]
pub use fused::{forget, near_squares, take_in};
#[cfg(vae_vectors)]
pub use mve::rows_int8;
#[cfg(vae_vectors)]
pub use mve_vectors::{largest_bits, quantise, requantise, squared_differences, standardise, sums_f32};
#[cfg(vae_vectors)]
pub use portable::mend;
#[cfg(not(any(vae_dsp, vae_v6m, vae_v7m, vae_riscv32)))]
pub use portable::rows_int8;
#[cfg(not(vae_dsp))]
pub use portable::silu;
#[cfg(not(any(vae_fpu, vae_soft)))]
pub use portable::squared_differences;
#[cfg(not(vae_fpu))]
pub use portable::sums_f32;
#[cfg(not(any(vae_v6m, vae_v7m, vae_riscv32)))]
pub use portable::sums_int8;
#[cfg(not(vae_soft))]
pub use portable::to_fixed;
pub use portable::{FRACTION_BITS, clear};
#[cfg(any(not(vae_fpu), vae_vectors))]
pub use portable::{forget, near_squares, take_in};
#[cfg(not(vae_dsp))]
pub use portable::{largest_bits, mend, requantise};
#[cfg(not(any(vae_fpu, vae_soft)))]
pub use portable::{quantise, standardise};
#[cfg(vae_riscv32)]
pub use riscv32::sums_int8;
#[cfg(vae_soft)]
pub use soft::{quantise, squared_differences, standardise, to_fixed};

/// Columns that are summed before the packed accumulators are unpacked.
///
/// A column tail of less than 32 columns may follow in the same run: `128 · 256 · (224 + 28) < 2²³`, so that the sums over the
/// columns of a run survive the packing whatever the weights are.
pub const FLUSH_COLUMNS: usize = 224;

/// Columns of an int8 row are padded with zeros to a multiple of this.
pub const COLUMN_GROUP: usize = 4;

/// Rows of a layer are padded with zero rows to a multiple of this.
pub const ROW_BLOCK: usize = 4;

/// Words that an int8 layer's file holds for a block of rows: four biases, then four 16-bit multipliers.
pub const ROW_WORDS: usize = 6;

/// So many blocks' words as blocks; none where there are not as many words. A cast that is safe would divide, which cores without an instruction for it
/// do in 400 bytes of code.
#[allow(unsafe_code)]
pub fn row_blocks(words: &[i32], blocks: usize) -> Option<&[[i32; ROW_WORDS]]> {
    let words = words.get(..blocks.checked_mul(ROW_WORDS)?)?;
    // SAFETY: there are as many words as that many arrays hold, whose alignment and validity are theirs.
    Some(unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), blocks) })
}
