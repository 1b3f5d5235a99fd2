//! The int8 kernel for ARMv8.1-M with MVE (Helium): Cortex-M52, M55 and M85.
//!
//! The compiler does not know that the core has vectors: they are used in here alone, and no vector crosses a function's edge.
#![allow(unsafe_code)]

use core::{arch::naked_asm, mem::offset_of};

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
    let groups = x.len() / 2;
    let first = (groups / 4).min(RUN);
    let many = groups / 4 > RUN;
    let mut job = Job {
        zeros: [0; 8],
        carry: [0; 4],
        scales: if many { [16; 4] } else { [8, 16, 8, 16] },
        x: x.as_ptr(),
        stride: 2 * size_of_val(x),
        turns: first,
        more: groups - 4 * first,
        rows: rows.as_ptr(),
        out: out.as_mut_ptr(),
        out_end: core::ptr::null_mut(),
        shift: -((shift & 31) as i32),
        least: if relu { 0 } else { i32::MIN },
        magnitude: [0; 4],
    };
    // SAFETY of each call: x is a positive multiple of 2 words long. For each two blocks the kernel reads x, twice as many words
    // of weights for each, and two entries of rows, and writes 8 words of out; it ends where out does. There are as many of all
    // of them as blocks. It keeps to the procedure call standard, and all pointers are to words, as its loads need.
    match (rows, &mut *out) {
        ([], _) | (_, []) => return 0,
        ([row], [out]) => {
            // The block is its own partner.
            let (rows, mut both) = ([*row; 2], [[0; ROW_BLOCK]; 2]);
            job.stride = 0;
            job.rows = rows.as_ptr();
            job.out = both.as_mut_ptr();
            job.out_end = job.out.wrapping_add(2);
            // SAFETY: as above, with both as out. With a stride of 0 the second block's weights are the first one's.
            unsafe { pairs_of_blocks(weights.as_ptr(), &mut job) };
            *out = both[0];
        }
        _ => {
            job.out_end = job.out.wrapping_add(blocks & !1);
            // SAFETY: as above; there are at least two blocks.
            unsafe { pairs_of_blocks(weights.as_ptr(), &mut job) };
            if !blocks.is_multiple_of(2) {
                // The last block, and once more the one before it.
                job.rows = rows.as_ptr().wrapping_add(blocks - 2);
                job.out = out.as_mut_ptr().wrapping_add(blocks - 2);
                job.out_end = job.out.wrapping_add(2);
                // SAFETY: as above, from the last block but one on.
                unsafe { pairs_of_blocks(weights.as_ptr().wrapping_add((blocks - 2) * block), &mut job) };
            }
        }
    }
    let [a, b, c, d] = job.magnitude;
    a | b | c | d
}

/// Turns of 16 columns in a run, with at most 12 columns behind the last: `128 · 256 · 252 < 2²³`, so that the sums over the
/// columns of a run survive the packing whatever the weights are.
const RUN: usize = 15;

/// What the assembly is told, and what it keeps in memory for want of registers; it knows the offsets.
#[repr(C)]
struct Job {
    /// Sums at the beginning of a row.
    zeros: [i32; 8],
    /// Sums of the first and third rows of both blocks over the runs so far.
    carry: [i32; 4],
    /// By how much the multipliers are shifted left: 16, as the high halves of products are taken; 8 for sums that are `256 · A`.
    scales: [u32; 4],
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
    /// Of the biases, to the left.
    shift: i32,
    /// What outputs are at least.
    least: i32,
    magnitude: [u32; 4],
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
            "vld40.32 {{q0, q1, q2, q3}}, [", $weights, "]\n",
            "vld41.32 {{q0, q1, q2, q3}}, [", $weights, "]\n",
            "vld42.32 {{q0, q1, q2, q3}}, [", $weights, "]\n",
            "vld43.32 {{q0, q1, q2, q3}}, [", $weights, "]!\n",
            // Products and bytes by turns: the core has a pipeline for each.
            "vmlava.s16 ", $ab, ", q0, q4\n",
            "vmovlb.s8 q0, q0\n",
            "vmlava.s16 ", $ab, ", q1, q5\n",
            "vmovlb.s8 q1, q1\n",
            "vmlava.s16 ", $cd, ", q2, q4\n",
            "vmovlb.s8 q2, q2\n",
            "vmlava.s16 ", $cd, ", q3, q5\n",
            "vmovlb.s8 q3, q3\n",
            "vmlava.s16 ", $b, ", q0, q4\n",
            "vmlava.s16 ", $b, ", q1, q5\n",
            "vmlava.s16 ", $d, ", q2, q4\n",
            "vmlava.s16 ", $d, ", q3, q5\n",
        )
    };
}

/// Adds a run's sum of the row that is packed with another to the carry, and takes it out of the packed sum of the next run.
macro_rules! carry {
    ($packed:literal, $low:literal, $index:literal) => {
        concat!(
            "subs ", $packed, ", ", $packed, ", ", $low, "\n",
            "ldr r7, [r9, #{carry} + 4 * ", $index, "]\n",
            "add r7, r7, ", $packed, ", asr #8\n",
            "str r7, [r9, #{carry} + 4 * ", $index, "]\n",
            "mov ", $packed, ", ", $low, "\n",
        )
    };
}

/// The sum over all runs of the row that is packed with another; r7 is 0.
macro_rules! unpack {
    ($packed:literal, $low:literal, $index:literal) => {
        concat!(
            "subs ", $packed, ", ", $packed, ", ", $low, "\n",
            "ldr r11, [r9, #{carry} + 4 * ", $index, "]\n",
            "add ", $packed, ", r11, ", $packed, ", asr #8\n",
            "str r7, [r9, #{carry} + 4 * ", $index, "]\n",
        )
    };
}

/// From a block's sums to its outputs: r5 rows, r7 out, r11 shift, q5 the multipliers' shifts, q7 the least output.
macro_rules! scale_block {
    ($a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "vmov q0[2], q0[0], ", $a, ", ", $c, "\n",
            "vmov q0[3], q0[1], ", $b, ", ", $d, "\n",
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
            "vmlavat.s16 ", $ab, ", ", $halfwords, ", q4\n",
            "vmlavae.s16 ", $cd, ", ", $halfwords, ", q4\n",
            "vmlavae.s16 ", $d, ", ", $low, ", q4\n",
            "vmlavat.s16 ", $b, ", ", $low, ", q4\n",
        )
    };
}

/// # Safety
/// As where it is called.
#[unsafe(naked)]
unsafe extern "C" fn pairs_of_blocks(weights: *const u32, job: &mut Job) {
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
        "add r11, r9, #{magnitude}",
        "vldrw.32 q6, [r11]",
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
        "add r5, r9, #{scales}",
        "vldrw.32 q5, [r5]",
        "ldrd r5, r7, [r9, #{rows}]",
        "ldr r11, [r9, #{shift}]",
        scale_block!("r0", "r2", "r4", "r6"),
        scale_block!("r8", "r10", "r12", "lr"),
        "strd r5, r7, [r9, #{rows}]",
        "ldr r5, [r9, #{out_end}]",
        "mov r1, r3",
        "cmp r5, r7",
        "bne 2b",
        "add r11, r9, #{magnitude}",
        "vstrw.32 q6, [r11]",
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
        shift = const offset_of!(Job, shift),
        least = const offset_of!(Job, least),
        magnitude = const offset_of!(Job, magnitude),
        run = const RUN,
    )
}
