//! What stands between the layers' products, for Arm cores with the DSP extension and an FPU.
//!
//! These loops are limited by loads and stores. `VLDM` and `VSTM` move eight values at a time, which the compiler does not use
//! them for.
#![allow(unsafe_code)]

use core::{
    arch::{asm, naked_asm},
    mem::offset_of,
};

use super::{FRACTION_BITS, ROW_BLOCK, portable};

/// What [`portable::standardise`] computes, in instructions of this core.
pub fn standardise(x: &[f32], mean: &[f32], inverse_scale: &[f32], out: &mut [f32]) {
    let len = out.len();
    let equal = x.len() == len && mean.len() == len && inverse_scale.len() == len;
    let eights = if equal { len & !7 } else { 0 };
    if eights > 0 {
        // SAFETY: each of the four slices has at least `eights` values, a positive multiple of the eight that a turn of the
        // loop reads or writes at each pointer. Registers and memory that change are declared.
        unsafe {
            asm!(
                dsp!(),
                "2:",
                "vldmia {x}!, {{s0-s7}}",
                "vldmia {mean}!, {{s8-s15}}",
                "vsub.f32 s0, s0, s8",
                "vsub.f32 s1, s1, s9",
                "vsub.f32 s2, s2, s10",
                "vsub.f32 s3, s3, s11",
                "vsub.f32 s4, s4, s12",
                "vsub.f32 s5, s5, s13",
                "vsub.f32 s6, s6, s14",
                "vsub.f32 s7, s7, s15",
                "vldmia {inverse_scale}!, {{s8-s15}}",
                "vmul.f32 s0, s0, s8",
                "vmul.f32 s1, s1, s9",
                "vmul.f32 s2, s2, s10",
                "vmul.f32 s3, s3, s11",
                "vmul.f32 s4, s4, s12",
                "vmul.f32 s5, s5, s13",
                "vmul.f32 s6, s6, s14",
                "vmul.f32 s7, s7, s15",
                "vstmia {out}!, {{s0-s7}}",
                "cmp {out}, {end}",
                "bne 2b",
                x = inout(reg) x.as_ptr() => _,
                mean = inout(reg) mean.as_ptr() => _,
                inverse_scale = inout(reg) inverse_scale.as_ptr() => _,
                out = inout(reg) out.as_mut_ptr() => _,
                end = in(reg) out.as_ptr().wrapping_add(eights),
                out("d0") _, out("d1") _, out("d2") _, out("d3") _,
                out("d4") _, out("d5") _, out("d6") _, out("d7") _,
                options(nostack),
            );
        }
    }
    if eights < len {
        let rest = |values| tail(values, eights);
        portable::standardise(rest(x), rest(mean), rest(inverse_scale), out.get_mut(eights..).unwrap_or_default());
    }
}

/// What [`portable::sums_f32`] computes, in instructions of this core.
pub fn sums_f32(weights: &[f32], x: &[f32], sums: &mut [f32]) {
    portable::clear(sums);
    let fours = x.len() & !3;
    if x.is_empty() {
        return;
    }
    for (weights, sums) in portable::blocks(weights, ROW_BLOCK * x.len()).zip(sums.as_chunks_mut::<ROW_BLOCK>().0) {
        if fours > 0 {
            // SAFETY: x has at least `fours` values, a positive multiple of the four that a turn of the loop reads, weights
            // have four times as many, and there are four sums. Registers and memory that change are declared. VMLA would round as
            // often and take fewer instructions, but three cycles where these take two.
            unsafe {
                asm!(
                    dsp!(),
                    "vldmia {sums}, {{s12-s15}}",
                    "2:",
                    "vldmia {weights}!, {{s0-s7}}",
                    "vldmia {x}!, {{s8-s11}}",
                    "vmul.f32 s0, s0, s8",
                    "vmul.f32 s1, s1, s8",
                    "vmul.f32 s2, s2, s8",
                    "vmul.f32 s3, s3, s8",
                    "vmul.f32 s4, s4, s9",
                    "vmul.f32 s5, s5, s9",
                    "vmul.f32 s6, s6, s9",
                    "vmul.f32 s7, s7, s9",
                    "vadd.f32 s12, s12, s0",
                    "vadd.f32 s13, s13, s1",
                    "vadd.f32 s14, s14, s2",
                    "vadd.f32 s15, s15, s3",
                    "vadd.f32 s12, s12, s4",
                    "vadd.f32 s13, s13, s5",
                    "vadd.f32 s14, s14, s6",
                    "vadd.f32 s15, s15, s7",
                    "vldmia {weights}!, {{s0-s7}}",
                    "vmul.f32 s0, s0, s10",
                    "vmul.f32 s1, s1, s10",
                    "vmul.f32 s2, s2, s10",
                    "vmul.f32 s3, s3, s10",
                    "vmul.f32 s4, s4, s11",
                    "vmul.f32 s5, s5, s11",
                    "vmul.f32 s6, s6, s11",
                    "vmul.f32 s7, s7, s11",
                    "vadd.f32 s12, s12, s0",
                    "vadd.f32 s13, s13, s1",
                    "vadd.f32 s14, s14, s2",
                    "vadd.f32 s15, s15, s3",
                    "vadd.f32 s12, s12, s4",
                    "vadd.f32 s13, s13, s5",
                    "vadd.f32 s14, s14, s6",
                    "vadd.f32 s15, s15, s7",
                    "cmp {x}, {end}",
                    "bne 2b",
                    "vstmia {sums}, {{s12-s15}}",
                    weights = inout(reg) weights.as_ptr() => _,
                    x = inout(reg) x.as_ptr() => _,
                    end = in(reg) x.as_ptr().wrapping_add(fours),
                    sums = in(reg) sums.as_mut_ptr(),
                    out("d0") _, out("d1") _, out("d2") _, out("d3") _,
                    out("d4") _, out("d5") _, out("d6") _, out("d7") _,
                    options(nostack),
                );
            }
        }
        let columns = weights.as_chunks::<ROW_BLOCK>().0.get(fours..).unwrap_or_default();
        for (column, x) in columns.iter().zip(tail(x, fours)) {
            for (sum, weight) in sums.iter_mut().zip(column) {
                *sum += weight * x;
            }
        }
    }
}

/// What [`portable::quantise`] computes, in instructions of this core.
pub fn quantise(values: &[f32], rounder: f32, out: &mut [i16]) {
    let len = values.len().min(out.len());
    // The loop writes words.
    let eights = if out.as_ptr().cast::<u32>().is_aligned() { len & !7 } else { 0 };
    if eights > 0 {
        // SAFETY: both slices have at least `eights` values, a positive multiple of the eight that a turn of the loop reads
        // and writes, and `out` is aligned for words. Registers and memory that change are declared.
        unsafe {
            asm!(
                dsp!(),
                "vmov s8, {rounder}",
                "2:",
                "vldmia {values}!, {{s0-s7}}",
                "vadd.f32 s0, s0, s8",
                "vadd.f32 s1, s1, s8",
                "vadd.f32 s2, s2, s8",
                "vadd.f32 s3, s3, s8",
                "vadd.f32 s4, s4, s8",
                "vadd.f32 s5, s5, s8",
                "vadd.f32 s6, s6, s8",
                "vadd.f32 s7, s7, s8",
                "vmov {a}, {b}, s0, s1",
                "pkhbt {a}, {a}, {b}, lsl #16",
                "vmov {b}, {c}, s2, s3",
                "pkhbt {b}, {b}, {c}, lsl #16",
                "strd {a}, {b}, [{out}], #8",
                "vmov {a}, {b}, s4, s5",
                "pkhbt {a}, {a}, {b}, lsl #16",
                "vmov {b}, {c}, s6, s7",
                "pkhbt {b}, {b}, {c}, lsl #16",
                "strd {a}, {b}, [{out}], #8",
                "cmp {out}, {end}",
                "bne 2b",
                values = inout(reg) values.as_ptr() => _,
                out = inout(reg) out.as_mut_ptr() => _,
                end = in(reg) out.as_ptr().wrapping_add(eights),
                rounder = in(reg) rounder,
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                out("d0") _, out("d1") _, out("d2") _, out("d3") _, out("d4") _,
                options(nostack),
            );
        }
    }
    if eights < len {
        portable::quantise(tail(values, eights), rounder, out.get_mut(eights..).unwrap_or_default());
    }
}

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
                "vldmia {x}!, {{s0-s7}}",
                "vldmia {mean}!, {{s8-s15}}",
                "vsub.f32 s0, s0, s8",
                "vsub.f32 s1, s1, s9",
                "vsub.f32 s2, s2, s10",
                "vsub.f32 s3, s3, s11",
                "vsub.f32 s4, s4, s12",
                "vsub.f32 s5, s5, s13",
                "vsub.f32 s6, s6, s14",
                "vsub.f32 s7, s7, s15",
                "vldmia {inverse_scale}!, {{s8-s15}}",
                "vmul.f32 s0, s0, s8",
                "vmul.f32 s1, s1, s9",
                "vmul.f32 s2, s2, s10",
                "vmul.f32 s3, s3, s11",
                "vmul.f32 s4, s4, s12",
                "vmul.f32 s5, s5, s13",
                "vmul.f32 s6, s6, s14",
                "vmul.f32 s7, s7, s15",
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
        "vmul.f32 s0, s0, s8",
        "vmul.f32 s1, s1, s9",
        "vmul.f32 s2, s2, s10",
        "vmul.f32 s3, s3, s11",
        "vmul.f32 s4, s4, s12",
        "vmul.f32 s5, s5, s13",
        "vmul.f32 s6, s6, s14",
        "vmul.f32 s7, s7, s15",
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

/// What [`portable::squared_differences`] computes, in instructions of this core.
pub fn squared_differences(x: &[f32], means: &[i32], shift: u32) -> (u64, u32) {
    let fours = x.len().min(means.len()) & !3;
    let (mut low, mut high, mut magnitude) = (0u32, 0u32, 0u32);
    if fours > 0 {
        // SAFETY: both slices have at least `fours` values, a positive multiple of the four that a turn of the loop reads.
        // The registers that change are declared.
        unsafe {
            asm!(
                dsp!(),
                "2:",
                "vldmia {x}!, {{s0-s3}}",
                "ldm {means}!, {{r2, r3, r4, r5}}",
                "vcvt.s32.f32 s0, s0, #{fraction}",
                "vcvt.s32.f32 s1, s1, #{fraction}",
                "vcvt.s32.f32 s2, s2, #{fraction}",
                "vcvt.s32.f32 s3, s3, #{fraction}",
                "asr r2, r2, {shift}",
                "asr r3, r3, {shift}",
                "asr r4, r4, {shift}",
                "asr r5, r5, {shift}",
                "vmov {a}, {b}, s0, s1",
                "sub r2, {a}, r2",
                "sub r3, {b}, r3",
                "vmov {a}, {b}, s2, s3",
                "sub r4, {a}, r4",
                "sub r5, {b}, r5",
                "smlal {low}, {high}, r2, r2",
                "smlal {low}, {high}, r3, r3",
                "smlal {low}, {high}, r4, r4",
                "smlal {low}, {high}, r5, r5",
                "eor r2, r2, r2, asr #31",
                "orr {magnitude}, {magnitude}, r2",
                "eor r3, r3, r3, asr #31",
                "orr {magnitude}, {magnitude}, r3",
                "eor r4, r4, r4, asr #31",
                "orr {magnitude}, {magnitude}, r4",
                "eor r5, r5, r5, asr #31",
                "orr {magnitude}, {magnitude}, r5",
                "subs {turns}, #1",
                "bne 2b",
                fraction = const FRACTION_BITS,
                x = inout(reg) x.as_ptr() => _,
                means = inout(reg) means.as_ptr() => _,
                turns = inout(reg) fours / 4 => _,
                shift = in(reg) shift,
                low = inout(reg) low,
                high = inout(reg) high,
                magnitude = inout(reg) magnitude,
                a = out(reg) _,
                b = out(reg) _,
                out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                out("d0") _, out("d1") _,
                options(nostack, readonly),
            );
        }
    }
    let rest = portable::squared_differences(tail(x, fours), means.get(fours..).unwrap_or_default(), shift);
    let sum = u64::from(high) << 32 | u64::from(low);
    (sum.wrapping_add(rest.0), magnitude | rest.1)
}

fn tail(values: &[f32], start: usize) -> &[f32] {
    values.get(start..).unwrap_or_default()
}
