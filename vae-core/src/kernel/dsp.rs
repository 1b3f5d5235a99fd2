//! Integers between layers, on ARMv7E-M and ARMv8-M with the DSP extension.
#![allow(unsafe_code)]

use core::arch::asm;

use super::portable;

/// What [`portable::requantise`] computes, in instructions of this core.
pub fn requantise(values: &[i32], shift: u32, out: &mut [i16]) {
    let len = values.len().min(out.len());
    // The loop writes words, and multiplies by `2^(32 − shift)`, which must be a positive number of 32 bits.
    let eights = if out.as_ptr().cast::<u32>().is_aligned() && shift > 1 { len & !7 } else { 0 };
    if eights > 0 {
        // SAFETY: both slices have at least `eights` values, a positive multiple of the eight that a turn of the loop reads and
        // writes, and `out` is aligned for words. Registers and memory that change are declared.
        unsafe {
            asm!(
                dsp!(),
                "2:",
                "ldm {values}!, {{r2, r3, r4, r5}}",
                // The high word of the product, rounded to the nearest.
                "smmulr r2, r2, {factor}",
                "smmulr r3, r3, {factor}",
                "smmulr r4, r4, {factor}",
                "smmulr r5, r5, {factor}",
                "pkhbt r2, r2, r3, lsl #16",
                "pkhbt r3, r4, r5, lsl #16",
                "ldm {values}!, {{r4, r5, r8, r12}}",
                "smmulr r4, r4, {factor}",
                "smmulr r5, r5, {factor}",
                "smmulr r8, r8, {factor}",
                "smmulr r12, r12, {factor}",
                "pkhbt r4, r4, r5, lsl #16",
                "pkhbt r5, r8, r12, lsl #16",
                "stm {out}!, {{r2, r3, r4, r5}}",
                "cmp {out}, {end}",
                "bne 2b",
                values = inout(reg) values.as_ptr() => _,
                out = inout(reg) out.as_mut_ptr() => _,
                end = in(reg) out.as_ptr().wrapping_add(eights),
                factor = in(reg) 1u32 << (32 - shift.min(31)),
                out("r2") _, out("r3") _, out("r4") _, out("r5") _, out("r8") _, out("r12") _,
                options(nostack),
            );
        }
    }
    if eights < len {
        let (values, out) = (values.get(eights..).unwrap_or_default(), out.get_mut(eights..).unwrap_or_default());
        portable::requantise(values, shift, out);
    }
}

/// What [`portable::mend`] computes, in instructions of this core.
pub fn mend(values: &mut [f32], x: &[f32], limit: f32) -> (u32, u32, bool) {
    let len = values.len().min(x.len());
    let (mut missing, mut twice, mut is_infinite) = (0u32, 0u32, 0u32);
    if len > 0 {
        let values = values.as_mut_ptr();
        // SAFETY: both slices have at least `len` values, one or more, of each of which a turn of the loop reads one, of `x` at the distance of the
        // two from the other. The registers and the memory that change are declared.
        unsafe {
            asm!(
                dsp!(),
                "2:",
                "ldr {value}, [{values}], #4",
                "cmp {infinity}, {value}, lsl #1",
                "bls 5f",
                "cmp {twice_limit}, {value}, lsl #1",
                "blo 4f",
                "cmp {twice}, {value}, lsl #1",
                "it lo",
                "lsllo {twice}, {value}, #1",
                "3:",
                "cmp {values}, {end}",
                "bne 2b",
                "b 7f",
                "5:", // infinite, or not a number
                "bne 6f",
                "ldr {other}, [{values}, {distance}]",
                "cmp {infinity}, {other}, lsl #1",
                "it eq",
                "moveq {is_infinite}, #1",
                "4:", // beyond the limit
                "bfi {value}, {limit}, #0, #31",
                "str {value}, [{values}, #-4]",
                "mov {twice}, {twice_limit}",
                "cmp {values}, {end}",
                "bne 2b",
                "b 7f",
                "6:",
                "add {missing}, {missing}, #1",
                "mov {value}, #0",
                "str {value}, [{values}, #-4]",
                "cmp {values}, {end}",
                "bne 2b",
                "7:",
                values = inout(reg) values => _,
                end = in(reg) values.wrapping_add(len),
                distance = in(reg) x.as_ptr().addr().wrapping_sub(values.addr()).wrapping_sub(size_of::<f32>()),
                infinity = in(reg) f32::INFINITY.to_bits() << 1,
                limit = in(reg) limit.to_bits(),
                twice_limit = in(reg) limit.to_bits() << 1,
                twice = inout(reg) twice,
                missing = inout(reg) missing,
                is_infinite = inout(reg) is_infinite,
                value = out(reg) _,
                other = out(reg) _,
                options(nostack),
            );
        }
    }
    (missing, twice >> 1, is_infinite != 0)
}

/// What [`portable::largest_bits`] computes, in instructions of this core.
pub fn largest_bits(values: &[f32], largest: u32) -> u32 {
    let fours = values.len() & !3;
    // Twice the bits, which leaves the sign out of the comparison.
    let mut twice = largest << 1;
    if fours > 0 {
        // SAFETY: there are at least `fours` values, a positive multiple of the four that a turn of the loop reads. The
        // registers that change are declared.
        unsafe {
            asm!(
                dsp!(),
                "2:",
                "ldm {values}!, {{r2, r3, r4, r5}}",
                "cmp {twice}, r2, lsl #1",
                "it lo",
                "lsllo {twice}, r2, #1",
                "cmp {twice}, r3, lsl #1",
                "it lo",
                "lsllo {twice}, r3, #1",
                "cmp {twice}, r4, lsl #1",
                "it lo",
                "lsllo {twice}, r4, #1",
                "cmp {twice}, r5, lsl #1",
                "it lo",
                "lsllo {twice}, r5, #1",
                "cmp {values}, {end}",
                "bne 2b",
                values = inout(reg) values.as_ptr() => _,
                end = in(reg) values.as_ptr().wrapping_add(fours),
                twice = inout(reg) twice,
                out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                options(nostack, readonly),
            );
        }
    }
    portable::largest_bits(values.get(fours..).unwrap_or_default(), twice >> 1)
}
