//! What is done to standardised values while they are in registers, and what is missing, for Arm cores with the DSP extension and an FPU.
#![allow(unsafe_code)]

use core::{
    arch::{asm, naked_asm},
    mem::offset_of,
};

use super::{
    FRACTION_BITS,
    fpu::{standardised, tail, times},
    portable,
};

/// What [`portable::take_in`] computes, in instructions of this core.
pub fn take_in(x: &[f32], mean: &[f32], inverse_scale: &[f32], out: &mut [i16]) -> usize {
    let len = x.len().min(mean.len()).min(inverse_scale.len()).min(out.len());
    // The loop writes words.
    let eights = if out.as_ptr().cast::<u32>().is_aligned() { len & !7 } else { 0 };
    let (start, mut end) = (out.as_ptr(), out.as_mut_ptr());
    if eights > 0 {
        // SAFETY: each of the four slices has at least `eights` values, a positive multiple of the eight that a turn of the
        // loop reads or writes at each pointer, and `out` is aligned for words. Registers and memory that change are declared. Of FPSCR only what
        // notes invalid operations changes, which in the end is set where it was: a conversion notes what is NaN or beyond ± 4.
        unsafe {
            asm!(
                dsp!(),
                "vmov s16, {rounder}",
                "vmrs {before}, fpscr",
                "bic {a}, {before}, #1",
                "vmsr fpscr, {a}",
                "2:",
                standardised!(),
                "vadd.f32 s8, s0, s16",
                "vadd.f32 s9, s1, s16",
                "vadd.f32 s10, s2, s16",
                "vadd.f32 s11, s3, s16",
                "vadd.f32 s12, s4, s16",
                "vadd.f32 s13, s5, s16",
                "vadd.f32 s14, s6, s16",
                "vadd.f32 s15, s7, s16",
                "vcvt.s32.f32 s0, s0, #29",
                "vcvt.s32.f32 s1, s1, #29",
                "vcvt.s32.f32 s2, s2, #29",
                "vcvt.s32.f32 s3, s3, #29",
                "vcvt.s32.f32 s4, s4, #29",
                "vcvt.s32.f32 s5, s5, #29",
                "vcvt.s32.f32 s6, s6, #29",
                "vcvt.s32.f32 s7, s7, #29",
                "vmrs {a}, fpscr",
                "lsls {a}, {a}, #31",
                "bne 3f",
                "vmov r2, r3, s8, s9",
                "pkhbt r2, r2, r3, lsl #16",
                "vmov r3, r4, s10, s11",
                "pkhbt r3, r3, r4, lsl #16",
                "vmov r4, r5, s12, s13",
                "pkhbt r4, r4, r5, lsl #16",
                "vmov r5, {a}, s14, s15",
                "pkhbt r5, r5, {a}, lsl #16",
                "stm {out}!, {{r2, r3, r4, r5}}",
                "cmp {out}, {end}",
                "bne 2b",
                "3:",
                "vmrs {a}, fpscr",
                "orr {a}, {a}, {before}",
                "vmsr fpscr, {a}",
                x = inout(reg) x.as_ptr() => _,
                mean = inout(reg) mean.as_ptr() => _,
                inverse_scale = inout(reg) inverse_scale.as_ptr() => _,
                out = inout(reg) end,
                end = in(reg) start.wrapping_add(eights),
                rounder = in(reg) 1.5 * (1 << 23) as f32 / 32.0,
                before = out(reg) _,
                a = out(reg) _,
                out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                out("d0") _, out("d1") _, out("d2") _, out("d3") _,
                out("d4") _, out("d5") _, out("d6") _, out("d7") _, out("d8") _,
                options(nostack),
            );
        }
    }
    end.addr().wrapping_sub(start.addr()) / size_of::<i16>()
}

/// What [`portable::near_squares`] computes, in instructions of this core.
pub fn near_squares(x: &[f32], mean: &[f32], inverse_scale: &[f32], means: &[i32], shift: u32) -> Option<u32> {
    let len = means.len();
    if x.len() < len || mean.len() < len || inverse_scale.len() < len {
        return None;
    }
    // The loop multiplies by `−2^(32 − shift)`, which must be a number of 32 bits, and subtracts the product.
    let eights = if shift > 0 { len & !7 } else { 0 };
    let mut sum = 0;
    if eights > 0 {
        let factor = i32::MIN >> shift.wrapping_sub(1).min(30);
        let mut job = Near { means: means.as_ptr(), end: x.as_ptr().wrapping_add(eights), factor, sum: [0; 2] };
        // SAFETY: the four slices have at least `eights` values, a positive multiple of the eight that a turn of the loop reads of each.
        let invalid = unsafe { near_eights(x.as_ptr(), mean.as_ptr(), inverse_scale.as_ptr(), &mut job) };
        let [low, high] = job.sum;
        if invalid | high != 0 {
            return None;
        }
        sum = low;
    }
    if eights < len {
        let (mean, inverse_scale) = (tail(mean, eights), tail(inverse_scale, eights));
        let rest = portable::near_squares(tail(x, eights), mean, inverse_scale, means.get(eights..)?, shift)?;
        sum = sum.checked_add(rest)?;
    }
    Some(sum)
}

/// What [`near_eights`] reads and writes; the assembly knows the order.
#[repr(C)]
struct Near {
    means: *const i32,
    /// Of x.
    end: *const f32,
    factor: i32,
    /// The low word first.
    sum: [u32; 2],
}

/// Adds to the sum; returns 1 where something was NaN or has not its place in 16 bits.
///
/// # Safety
/// As where it is called.
#[unsafe(naked)]
unsafe extern "C" fn near_eights(x: *const f32, mean: *const f32, inverse_scale: *const f32, job: &mut Near) -> u32 {
    // It keeps to the procedure call standard. Of FPSCR only what notes invalid operations changes, which in the end is set where it was: a
    // conversion notes what is NaN or has not its place in 16 bits.
    naked_asm!(
        dsp!(),
        ".fpu fpv4-sp-d16", // which a naked function is not told
        "push {{r2-r11, lr}}",
        "ldm r3, {{r8-r12}}",
        "vmrs r3, fpscr",
        "str r3, [sp]",
        "bic r3, #1",
        "vmsr fpscr, r3",
        "2:",
        "vldmia r0!, {{s0-s7}}",
        "vldmia r1!, {{s8-s15}}",
        // Of the other sign, so that the means are added.
        "vsub.f32 s0, s8, s0",
        "vsub.f32 s1, s9, s1",
        "vsub.f32 s2, s10, s2",
        "vsub.f32 s3, s11, s3",
        "vsub.f32 s4, s12, s4",
        "vsub.f32 s5, s13, s5",
        "vsub.f32 s6, s14, s6",
        "vsub.f32 s7, s15, s7",
        "vldmia r2!, {{s8-s15}}",
        times!(),
        "ldm r8!, {{r3, r4, r5, r6}}",
        "vcvt.s16.f32 s0, s0, #{fraction}",
        "vcvt.s16.f32 s1, s1, #{fraction}",
        "vcvt.s16.f32 s2, s2, #{fraction}",
        "vcvt.s16.f32 s3, s3, #{fraction}",
        "vcvt.s16.f32 s4, s4, #{fraction}",
        "vcvt.s16.f32 s5, s5, #{fraction}",
        "vcvt.s16.f32 s6, s6, #{fraction}",
        "vcvt.s16.f32 s7, s7, #{fraction}",
        "vmov r7, lr, s0, s1",
        "smmls r3, r3, r10, r7",
        "smmls r4, r4, r10, lr",
        "vmov r7, lr, s2, s3",
        "smmls r5, r5, r10, r7",
        "smmls r6, r6, r10, lr",
        "smlal r11, r12, r3, r3",
        "smlal r11, r12, r4, r4",
        "smlal r11, r12, r5, r5",
        "smlal r11, r12, r6, r6",
        "ldm r8!, {{r3, r4, r5, r6}}",
        "vmov r7, lr, s4, s5",
        "smmls r3, r3, r10, r7",
        "smmls r4, r4, r10, lr",
        "vmov r7, lr, s6, s7",
        "smmls r5, r5, r10, r7",
        "smmls r6, r6, r10, lr",
        "smlal r11, r12, r3, r3",
        "smlal r11, r12, r4, r4",
        "smlal r11, r12, r5, r5",
        "smlal r11, r12, r6, r6",
        "cmp r0, r9",
        "bne 2b",
        "ldrd r1, r3, [sp], #8",
        "vmrs r0, fpscr",
        "orrs r1, r0",
        "vmsr fpscr, r1",
        "ands r0, #1",
        "strd r11, r12, [r3, #{sum}]",
        "pop {{r4-r11, pc}}",
        fraction = const FRACTION_BITS,
        sum = const offset_of!(Near, sum),
    )
}

/// What [`portable::forget`] computes, in instructions of this core.
pub fn forget(values: &mut [f32], means: &mut [i32], constants: &[f32]) -> (f32, f32) {
    let len = values.len().min(means.len()).min(constants.len());
    let (mut missing, mut observed) = (0u32, 0u32);
    if len > 0 {
        let values = values.as_mut_ptr();
        // SAFETY: each of the three slices has at least `len` values, one or more, of each of which a turn of the loop reads or writes one. Registers and
        // memory that change are declared.
        unsafe {
            asm!(
                dsp!(),
                "vmov s0, s1, {zero}, {zero}",
                "2:",
                "ldr {value}, [{values}], #4",
                "vldmia {constants}!, {{s2}}",
                "cmp {infinity}, {value}, lsl #1",
                "blo 3f",
                "vadd.f32 s1, s1, s2",
                "add {means}, #4",
                "cmp {values}, {end}",
                "bne 2b",
                "b 4f",
                "3:",
                "str {zero}, [{values}, #-4]",
                "str {zero}, [{means}], #4",
                "vadd.f32 s0, s0, s2",
                "cmp {values}, {end}",
                "bne 2b",
                "4:",
                "vmov {missing}, {observed}, s0, s1",
                values = inout(reg) values => _,
                end = in(reg) values.wrapping_add(len),
                means = inout(reg) means.as_mut_ptr() => _,
                constants = inout(reg) constants.as_ptr() => _,
                infinity = in(reg) f32::INFINITY.to_bits() << 1,
                zero = in(reg) 0,
                value = out(reg) _,
                missing = out(reg) missing,
                observed = out(reg) observed,
                out("d0") _, out("d1") _,
                options(nostack),
            );
        }
    }
    (f32::from_bits(missing), f32::from_bits(observed))
}
