//! What stands between the layers' products, for Arm cores with the DSP extension and an FPU.
//!
//! These loops are limited by loads and stores. `VLDM` and `VSTM` move eight values at a time, which the compiler does not use
//! them for.
#![allow(unsafe_code)]

use core::arch::asm;

use super::{FRACTION_BITS, ROW_BLOCK, portable};

/// Eight numbers in s0 to s7 times those in s8 to s15.
macro_rules! times {
    () => {
        concat!(
            "vmul.f32 s0, s0, s8\n",
            "vmul.f32 s1, s1, s9\n",
            "vmul.f32 s2, s2, s10\n",
            "vmul.f32 s3, s3, s11\n",
            "vmul.f32 s4, s4, s12\n",
            "vmul.f32 s5, s5, s13\n",
            "vmul.f32 s6, s6, s14\n",
            "vmul.f32 s7, s7, s15\n",
        )
    };
}
#[cfg(vae_fused)]
pub(super) use times;

/// The next eight of `x`, standardised, in s0 to s7.
macro_rules! standardised {
    () => {
        concat!(
            "vldmia {x}!, {{s0-s7}}\n",
            "vldmia {mean}!, {{s8-s15}}\n",
            "vsub.f32 s0, s0, s8\n",
            "vsub.f32 s1, s1, s9\n",
            "vsub.f32 s2, s2, s10\n",
            "vsub.f32 s3, s3, s11\n",
            "vsub.f32 s4, s4, s12\n",
            "vsub.f32 s5, s5, s13\n",
            "vsub.f32 s6, s6, s14\n",
            "vsub.f32 s7, s7, s15\n",
            "vldmia {inverse_scale}!, {{s8-s15}}\n",
            times!(),
        )
    };
}
#[cfg(vae_fused)]
pub(super) use standardised;

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
                standardised!(),
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

pub(super) fn tail(values: &[f32], start: usize) -> &[f32] {
    values.get(start..).unwrap_or_default()
}
