//! What stands between the layers' products, and the products of `f32` layers, for ARMv8.1-M with MVE (Helium).
//!
//! Loops with `LETP` take four values a turn, and in the last one what is left. Vectors of `f32` take denormal numbers for zero,
//! where the other kernels compute with them: the core notes that it has done so, and then the kernel for an FPU has the word.
#![allow(unsafe_code)]

use core::arch::asm;

use super::{FRACTION_BITS, ROW_BLOCK, fpu, portable};

/// Bits of FPSCR: a result (UFC) or an operand (IDC) was denormal and taken for zero.
const FLUSHED: u32 = 1 << 3 | 1 << 7;

/// Clears what the core has noted of exceptions; `flags` changes.
macro_rules! clear_flags {
    () => {
        "vmrs {flags}, fpscr\nbic {flags}, {flags}, #0x88\nvmsr fpscr, {flags}\n"
    };
}

/// Adds a column's products to the sums in q3.
macro_rules! column {
    ($x:literal) => {
        concat!("vldrw.32 q0, [{weights}], #16\n", "vmul.f32 q0, q0, ", $x, "\n", "vadd.f32 q3, q3, q0\n")
    };
}

/// What [`portable::standardise`] computes, in instructions of this core.
pub fn standardise(x: &[f32], mean: &[f32], inverse_scale: &[f32], out: &mut [f32]) {
    let len = out.len().min(x.len()).min(mean.len()).min(inverse_scale.len());
    let flags: u32;
    // SAFETY: each of the four slices has at least `len` values, and no more than that are read or written at each pointer.
    // Registers and memory that change are declared.
    unsafe {
        asm!(
            ".cpu cortex-m55",
            clear_flags!(),
            "wlstp.32 lr, {len}, 3f",
            "2:",
            "vldrw.32 q0, [{x}], #16",
            "vldrw.32 q1, [{mean}], #16",
            "vsub.f32 q0, q0, q1",
            "vldrw.32 q1, [{inverse_scale}], #16",
            "vmul.f32 q0, q0, q1",
            "vstrw.32 q0, [{out}], #16",
            "letp lr, 2b",
            "3:",
            "vmrs {flags}, fpscr",
            flags = out(reg) flags,
            len = in(reg) len,
            x = inout(reg) x.as_ptr() => _,
            mean = inout(reg) mean.as_ptr() => _,
            inverse_scale = inout(reg) inverse_scale.as_ptr() => _,
            out = inout(reg) out.as_mut_ptr() => _,
            out("lr") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _,
            options(nostack),
        );
    }
    if flags & FLUSHED != 0 {
        fpu::standardise(x, mean, inverse_scale, out);
    }
}

/// What [`portable::sums_f32`] computes, in instructions of this core.
pub fn sums_f32(weights: &[f32], x: &[f32], sums: &mut [f32]) {
    sums.fill(0.0);
    if x.is_empty() {
        return;
    }
    let flags: u32;
    // SAFETY: nothing but the core's notes of exceptions change.
    unsafe { asm!(clear_flags!(), flags = out(reg) _, options(nomem, nostack)) };
    for (weights, sums) in portable::blocks(weights, ROW_BLOCK * x.len()).zip(sums.as_chunks_mut::<ROW_BLOCK>().0) {
        sums_of_a_block(weights, x, sums);
    }
    // SAFETY: the register that changes is declared.
    unsafe { asm!("vmrs {flags}, fpscr", flags = out(reg) flags, options(nomem, nostack, preserves_flags)) };
    if flags & FLUSHED != 0 {
        fpu::sums_f32(weights, x, sums);
    }
}

/// Adds products to four rows' sums; weights are four times as many as x.
fn sums_of_a_block(weights: &[f32], x: &[f32], sums: &mut [f32; ROW_BLOCK]) {
    let eights = x.len() / 8;
    // SAFETY: x has at least 8 · `eights` values, weights have four times as many, and there are four sums. A product is
    // rounded before it is added, as the portable kernel does. Registers and memory that change are declared.
    unsafe {
        asm!(
            ".cpu cortex-m55",
            "vldrw.32 q3, [{sums}]",
            "wls lr, r0, 3f",
            "2:",
            "ldm {x}!, {{r0, r1, r2, r3, r4, r5, r8, r9}}",
            column!("r0"),
            column!("r1"),
            column!("r2"),
            column!("r3"),
            column!("r4"),
            column!("r5"),
            column!("r8"),
            column!("r9"),
            "le lr, 2b",
            "3:",
            "vstrw.32 q3, [{sums}]",
            weights = inout(reg) weights.as_ptr() => _,
            x = inout(reg) x.as_ptr() => _,
            sums = in(reg) sums.as_mut_ptr(),
            inout("r0") eights => _,
            out("r1") _, out("r2") _, out("r3") _, out("r4") _, out("r5") _, out("r8") _, out("r9") _,
            out("lr") _,
            out("d0") _, out("d1") _, out("d6") _, out("d7") _,
            options(nostack),
        );
    }
    let (_, x) = x.as_chunks::<8>();
    let (_, weights) = weights.as_chunks::<{ 8 * ROW_BLOCK }>();
    for (weights, x) in weights.as_chunks::<ROW_BLOCK>().0.iter().zip(x) {
        sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight * x);
    }
}

/// What [`portable::quantise`] computes, in instructions of this core, for a rounder beside which denormal numbers are nothing.
pub fn quantise(values: &[f32], rounder: f32, out: &mut [i16]) {
    // SAFETY: both slices have at least as many values as the loop reads and writes. Registers and memory that change are
    // declared.
    unsafe {
        asm!(
            ".cpu cortex-m55",
            "wlstp.32 lr, {len}, 3f",
            "2:",
            "vldrw.32 q0, [{values}], #16",
            "vadd.f32 q0, q0, {rounder}",
            "vstrh.32 q0, [{out}], #8",
            "letp lr, 2b",
            "3:",
            len = in(reg) values.len().min(out.len()),
            values = inout(reg) values.as_ptr() => _,
            out = inout(reg) out.as_mut_ptr() => _,
            rounder = in(reg) rounder.to_bits(),
            out("lr") _,
            out("d0") _, out("d1") _,
            options(nostack),
        );
    }
}

/// What [`portable::requantise`] computes, in instructions of this core.
pub fn requantise(values: &[i32], shift: u32, out: &mut [i16]) {
    let shift = shift & 31;
    // SAFETY: both slices have at least as many values as the loop reads and writes. Registers and memory that change are
    // declared.
    unsafe {
        asm!(
            ".cpu cortex-m55",
            "wlstp.32 lr, {len}, 3f",
            "2:",
            "vldrw.32 q0, [{values}], #16",
            "vadd.i32 q0, q0, {half}",
            "vshl.s32 q0, {shift}",
            "vstrh.32 q0, [{out}], #8",
            "letp lr, 2b",
            "3:",
            len = in(reg) values.len().min(out.len()),
            values = inout(reg) values.as_ptr() => _,
            out = inout(reg) out.as_mut_ptr() => _,
            half = in(reg) (1u32 << shift) >> 1,
            shift = in(reg) 0u32.wrapping_sub(shift),
            out("lr") _,
            out("d0") _, out("d1") _,
            options(nostack),
        );
    }
}

/// What [`portable::largest_bits`] computes, in instructions of this core.
pub fn largest_bits(values: &[f32], largest: u32) -> u32 {
    // Twice the bits, which leaves the sign out of the comparison.
    let mut twice = largest << 1;
    // SAFETY: no more values than there are are read. The registers that change are declared.
    unsafe {
        asm!(
            ".cpu cortex-m55",
            "vdup.32 q1, {twice}",
            "wlstp.32 lr, {len}, 3f",
            "2:",
            "vldrw.32 q0, [{values}], #16",
            "vshl.i32 q0, q0, #1",
            "vmax.u32 q1, q1, q0",
            "letp lr, 2b",
            "3:",
            "vmaxv.u32 {twice}, q1",
            len = in(reg) values.len(),
            values = inout(reg) values.as_ptr() => _,
            twice = inout(reg) twice,
            out("lr") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _,
            options(nostack, readonly),
        );
    }
    twice >> 1
}

/// What [`portable::squared_differences`] computes, in instructions of this core.
pub fn squared_differences(x: &[f32], means: &[i32], shift: u32) -> (u64, u32) {
    let (mut low, mut high) = (0u32, 0u32);
    let (a, b, c, d): (u32, u32, u32, u32);
    // SAFETY: no more values are read than both slices have. The registers that change are declared.
    unsafe {
        asm!(
            ".cpu cortex-m55",
            "vmov.i32 q2, #0",
            "wlstp.32 lr, {len}, 3f",
            "2:",
            "vldrw.32 q0, [{x}], #16",
            "vldrw.32 q1, [{means}], #16",
            "vcvt.s32.f32 q0, q0, #{fraction}",
            "vshl.s32 q1, {shift}",
            "vsub.i32 q0, q0, q1",
            "vmlalva.s32 r2, r3, q0, q0",
            "vshr.s32 q1, q0, #31",
            "veor q0, q0, q1",
            "vorr q2, q2, q0",
            "letp lr, 2b",
            "3:",
            "vmov {a}, {b}, d4",
            "vmov {c}, {d}, d5",
            fraction = const FRACTION_BITS,
            len = in(reg) x.len().min(means.len()),
            x = inout(reg) x.as_ptr() => _,
            means = inout(reg) means.as_ptr() => _,
            shift = in(reg) 0u32.wrapping_sub(shift & 31),
            inout("r2") low,
            inout("r3") high,
            a = lateout(reg) a,
            b = lateout(reg) b,
            c = lateout(reg) c,
            d = lateout(reg) d,
            out("lr") _,
            out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _, out("d5") _,
            options(nostack, readonly),
        );
    }
    (u64::from(high) << 32 | u64::from(low), a | b | c | d)
}
