//! The int8 kernel for ARMv8.1-M with MVE (Helium): Cortex-M52, M55 and M85.
//!
//! The compiler does not know that the core has vectors: they are used in here alone, and no vector crosses a function's edge.
#![allow(unsafe_code)]

use core::{
    arch::naked_asm,
    mem::{MaybeUninit, offset_of},
};

use super::{ROW_BLOCK, ROW_WORDS};

/// What [`super::portable::rows_int8`] computes, in instructions of this core.
///
/// `VLD4` sorts the words of 16 columns of a block into four vectors, two of each pair of rows; `VLD2` does the same with the
/// activations. `VMLAVA` adds eight products of packed halfwords, 16 of weights; `VMOVLB` leaves the low bytes, whose sum is
/// wanted as well, so that the packing can be undone. Two blocks are taken at a time, for the same activations.
pub fn rows_int8(
    weights: &[u32],
    x: &[u32],
    rows: &[[i32; ROW_WORDS]],
    shift: u32,
    relu: bool,
    out: &mut [i32],
) -> u32 {
    let block = 2 * x.len();
    let (out, _) = out.as_chunks_mut::<ROW_BLOCK>();
    let blocks = out.len().min(weights.len().checked_div(block).unwrap_or(0)).min(rows.len());
    let (Some(rows), Some(out)) = (rows.get(..blocks), out.get_mut(..blocks)) else { return 0 };
    if !x.len().is_multiple_of(2) {
        return 0;
    }
    let turns = (x.len() / 8).min(RUN);
    let mut job = Job {
        zeros: MaybeUninit::uninit(),
        carry: MaybeUninit::uninit(),
        x: x.as_ptr(),
        // A single block is its own partner.
        stride: if blocks > 1 { 2 * size_of_val(x) } else { 0 },
        turns,
        more: x.len() / 2 - 4 * turns,
        rows: rows.as_ptr(),
        out: out.as_mut_ptr(),
        out_end: out.as_mut_ptr(),
        scales: if x.len() / 8 > RUN { &[16; 4] } else { &[8, 16, 8, 16] },
        shift: -((shift & 31) as i32),
        least: if relu { 0 } else { i32::MIN },
    };
    // As many pairs as rows and out have, from a block on.
    let mut pairs = |first: usize, rows: &[[i32; ROW_WORDS]], out: &mut [[i32; ROW_BLOCK]]| {
        job.rows = rows.as_ptr();
        job.out = out.as_mut_ptr();
        job.out_end = job.out.wrapping_add(out.len() & !1);
        // SAFETY: rows and out have the same number of blocks, at least two; weights have as many from the first on, or one and
        // the stride is 0; x is a positive multiple of two words long. For each two blocks the kernel reads x, twice as many words
        // of weights for each, and two entries of rows, and writes two blocks of out, up to its end. It keeps to the procedure
        // call standard, and all pointers are to words, as its loads and stores need.
        unsafe { pairs_of_blocks(weights.as_ptr().wrapping_add(first * block), &mut job) }
    };
    match (rows, &mut *out) {
        ([], _) => 0,
        ([row], [out]) => {
            let mut both = [[0; ROW_BLOCK]; 2];
            let magnitude = pairs(0, &[*row; 2], &mut both);
            [*out, _] = both;
            magnitude
        }
        _ => {
            let magnitude = pairs(0, rows, out);
            if blocks.is_multiple_of(2) {
                return magnitude;
            }
            // The last block, and once more the one before it.
            let (Some(rows), Some(out)) = (rows.get(blocks - 2..), out.get_mut(blocks - 2..)) else { return 0 };
            magnitude | pairs(blocks - 2, rows, out)
        }
    }
}

/// Turns of 16 columns in a run, with at most 12 columns behind the last: `128 · 256 · 252 < 2²³`, so that the sums over the
/// columns of a run survive the packing whatever the weights are.
const RUN: usize = 15;

/// What the assembly is told, and what it keeps in memory for want of registers; it knows the offsets.
#[repr(C)]
struct Job {
    /// The assembly's: sums at the beginning of a row.
    zeros: MaybeUninit<[i32; 8]>,
    /// The assembly's: sums of the first and third rows of both blocks over the runs so far.
    carry: MaybeUninit<[i32; 4]>,
    x: *const u32,
    /// Bytes between the weights of two blocks.
    stride: usize,
    /// Turns of the first run.
    turns: usize,
    /// Groups of four columns behind it.
    more: usize,
    rows: *const [i32; ROW_WORDS],
    out: *mut [i32; ROW_BLOCK],
    out_end: *mut [i32; ROW_BLOCK],
    /// By how much the multipliers are shifted left: 16, as the high halves of products are taken; 8 for sums that are `256 · A`.
    scales: &'static [i32; 4],
    /// Of the biases, to the left.
    shift: i32,
    /// What outputs are at least.
    least: i32,
}

/// An instruction.
macro_rules! op {
    ($($part:literal),+) => {
        concat!($($part,)+ "\n")
    };
}

/// 16 columns of both blocks: r1 and r3 weights, r5 activations.
macro_rules! sixteen_columns {
    () => {
        concat!(
            "vld20.32 {{q4, q5}}, [r5]\n",
            "vld21.32 {{q4, q5}}, [r5]!\n",
            sixteen_of_a_block!("r1", "r0", "r2", "r4", "r6"),
            sixteen_of_a_block!("r3", "r8", "r10", "r12", "lr"),
        )
    };
}

/// 16 columns of a block: the register of the weights, the sums (256 A + B, B, 256 C + D, D).
macro_rules! sixteen_of_a_block {
    ($weights:literal, $ab:literal, $b:literal, $cd:literal, $d:literal) => {
        concat!(
            op!("vld40.32 {{q0, q1, q2, q3}}, [", $weights, "]"),
            op!("vld41.32 {{q0, q1, q2, q3}}, [", $weights, "]"),
            op!("vld42.32 {{q0, q1, q2, q3}}, [", $weights, "]"),
            op!("vld43.32 {{q0, q1, q2, q3}}, [", $weights, "]!"),
            // Products and bytes by turns: the core has a pipeline for each.
            op!("vmlava.s16 ", $ab, ", q0, q4"),
            "vmovlb.s8 q0, q0\n",
            op!("vmlava.s16 ", $ab, ", q1, q5"),
            "vmovlb.s8 q1, q1\n",
            op!("vmlava.s16 ", $cd, ", q2, q4"),
            "vmovlb.s8 q2, q2\n",
            op!("vmlava.s16 ", $cd, ", q3, q5"),
            "vmovlb.s8 q3, q3\n",
            op!("vmlava.s16 ", $b, ", q0, q4"),
            op!("vmlava.s16 ", $b, ", q1, q5"),
            op!("vmlava.s16 ", $d, ", q2, q4"),
            op!("vmlava.s16 ", $d, ", q3, q5"),
        )
    };
}

/// Adds a run's sum of the row that is packed with another to the carry, and takes it out of the packed sum of the next run.
macro_rules! carry {
    ($packed:literal, $low:literal, $index:literal) => {
        concat!(
            op!("subs ", $packed, ", ", $packed, ", ", $low),
            op!("ldr r7, [r9, #{carry} + 4 * ", $index, "]"),
            op!("add r7, r7, ", $packed, ", asr #8"),
            op!("str r7, [r9, #{carry} + 4 * ", $index, "]"),
            op!("mov ", $packed, ", ", $low),
        )
    };
}

/// The sum over all runs of the row that is packed with another; r7 is 0.
macro_rules! unpack {
    ($packed:literal, $low:literal, $index:literal) => {
        concat!(
            op!("subs ", $packed, ", ", $packed, ", ", $low),
            op!("ldr r11, [r9, #{carry} + 4 * ", $index, "]"),
            op!("add ", $packed, ", r11, ", $packed, ", asr #8"),
            op!("str r7, [r9, #{carry} + 4 * ", $index, "]"),
        )
    };
}

/// From a block's sums to its outputs: r5 rows, r7 out, r11 shift, q5 the multipliers' shifts, q7 the least output.
macro_rules! scale_block {
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            op!("vmov q0[2], q0[0], ", $a, ", ", $c),
            op!("vmov q0[3], q0[1], ", $b, ", ", $d),
            "vldrw.32 q1, [r5], #16\n",
            "vldrh.s32 q2, [r5], #8\n",
            "vshl.s32 q1, r11\n",
            "vshl.s32 q2, q2, q5\n",
            "vmulh.s32 q0, q0, q2\n",
            "vadd.i32 q0, q0, q1\n",
            "vmax.s32 q0, q0, q7\n",
            "vshr.s32 q1, q0, #31\n",
            "vstrw.32 q0, [r7], #16\n",
            "veor q1, q1, q0\n",
            "vorr q6, q6, q1\n",
        )
    };
}

/// Four products each of the first rows and of the second ones: the lower half of a vector of weights belongs to the first.
macro_rules! four_of_a_block {
    ($halfwords:literal, $low:literal, $ab:literal, $b:literal, $cd:literal, $d:literal) => {
        concat!(
            "vpsteet\n",
            op!("vmlavat.s16 ", $ab, ", ", $halfwords, ", q4"),
            op!("vmlavae.s16 ", $cd, ", ", $halfwords, ", q4"),
            op!("vmlavae.s16 ", $d, ", ", $low, ", q4"),
            op!("vmlavat.s16 ", $b, ", ", $low, ", q4"),
        )
    };
}

/// The bitwise or of the outputs' magnitudes.
///
/// # Safety
/// As where it is called.
#[unsafe(naked)]
unsafe extern "C" fn pairs_of_blocks(weights: *const u32, job: &mut Job) -> u32 {
    // r1 and r3 weights, r5 activations, r7 turns left, r9 job, r11 groups of four columns behind the run, and many more where
    // there was a run before. `VMLAVA` adds to registers with even numbers only: those are the sums.
    naked_asm!(
        ".cpu cortex-m55",
        ".syntax unified",
        "push {{r3-r11, lr}}",
        "vpush {{d8-d15}}",
        "mov r9, r1",
        "mov r1, r0",
        "ldr r5, [r9, #{least}]",
        "vdup.32 q7, r5",
        "vmov.i32 q6, #0",
        "vstrw.32 q6, [r9]",
        "vstrw.32 q6, [r9, #16]",
        "vstrw.32 q6, [r9, #{carry}]",
        "2:", // two blocks
        "ldrd r5, r3, [r9, #{x}]",
        "ldrd r7, r11, [r9, #{turns}]",
        "ldm r9, {{r0, r2, r4, r6, r8, r10, r12, lr}}",
        "add r3, r1",
        "3:", // a run; an odd turn is the first
        "lsrs r7, r7, #1",
        "adc r7, r7, #0",
        "bcs 5f",
        "beq 6f", // none
        "4:", // 32 columns
        sixteen_columns!(),
        "5:",
        sixteen_columns!(),
        "subs r7, #1",
        "bne 4b",
        "6:", // the end of a run
        "cmp r11, #0",
        "bne 9f",
        "7:", // the end of a row
        "subs r0, r0, r2",
        "subs r4, r4, r6",
        "sub r8, r8, r10",
        "sub r12, r12, lr",
        "8:", // sums become outputs
        "ldrd r5, r11, [r9, #{scales}]",
        "vldrw.32 q5, [r5]",
        "ldrd r5, r7, [r9, #{rows}]",
        scale_block!("r0", "r2", "r4", "r6"),
        scale_block!("r8", "r10", "r12", "lr"),
        "strd r5, r7, [r9, #{rows}]",
        "ldr r5, [r9, #{out_end}]",
        "mov r1, r3",
        "cmp r5, r7",
        "bne 2b",
        "vmov r0, r1, d12",
        "vmov r2, r3, d13",
        "orrs r0, r1",
        "orrs r2, r3",
        "orrs r0, r2",
        "vpop {{d8-d15}}",
        "pop {{r3-r11, pc}}",
        "9:", // what is left of a row: another run, a tail, or nothing
        "mov r7, #0xFF",
        "vmsr p0, r7",
        "uxth r7, r11",
        "cmp r7, #4",
        "blo 10f",
        carry!("r0", "r2", "0"),
        carry!("r4", "r6", "1"),
        carry!("r8", "r10", "2"),
        carry!("r12", "lr", "3"),
        "ubfx r7, r11, #2, #14",
        "cmp r7, #{run}",
        "it hi",
        "movhi r7, #{run}",
        "sub r11, r11, r7, lsl #2",
        "orr r11, r11, #0x10000",
        "b 3b",
        "10:",
        "cbz r7, 12f",
        "vmov.i32 q5, #0",
        "11:", // four columns of the tail
        "vldrd.u64 q4, [r5, q5]", // twice the same
        "adds r5, #8",
        "vldrw.32 q0, [r1], #16",
        "vldrw.32 q2, [r3], #16",
        "vmovlb.s8 q1, q0",
        "vmovlb.s8 q3, q2",
        four_of_a_block!("q0", "q1", "r0", "r2", "r4", "r6"),
        four_of_a_block!("q2", "q3", "r8", "r10", "r12", "lr"),
        "subs r7, #1",
        "bne 11b",
        "cmp r11, #0x10000",
        "blo 7b",
        "12:", // the end of a row of several runs
        unpack!("r0", "r2", "0"),
        unpack!("r4", "r6", "1"),
        unpack!("r8", "r10", "2"),
        unpack!("r12", "lr", "3"),
        "b 8b",
        carry = const offset_of!(Job, carry),
        scales = const offset_of!(Job, scales),
        x = const offset_of!(Job, x),
        turns = const offset_of!(Job, turns),
        rows = const offset_of!(Job, rows),
        out_end = const offset_of!(Job, out_end),
        least = const offset_of!(Job, least),
        run = const RUN,
    )
}
