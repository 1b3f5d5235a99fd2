//! An activation by a table, for Arm cores with the DSP extension.
#![allow(unsafe_code)]

use core::arch::asm;

/// What [`super::portable::silu`] computes, in instructions of this core.
pub fn silu(values: &mut [i32], down: u32, left: u32, near: &[u32; 65]) -> u32 {
    let mut magnitude = 0;
    if !values.is_empty() {
        let values = values.as_mut_ptr_range();
        // SAFETY: a turn of the loop reads and writes one of the values, of which there is one or more. The argument is limited to 20 bits, of which
        // the highest six, rounded, are at most 64. Registers and memory that change are declared.
        unsafe {
            asm!(
                dsp!(),
                "2:",
                "ldr r2, [{values}]",
                "eor r3, r2, r2, asr #31",
                "sub r3, r3, r2, asr #31",
                "lsr r3, r3, {down}", // |v|
                "lsl r4, r3, {left}",
                "sub r4, r4, r4, lsr #31", // 2³¹ would be negative
                "usat r4, #20, r4",
                "lsrs r5, r4, #14",
                "adc r5, r5, #0", // the nearest entry
                "ldr r5, [{near}, r5, lsl #2]",
                "sbfx r4, r4, #0, #14", // the distance d from there
                "smulwt {step}, r4, r5", // s (1 − s) d
                "mul r4, {step}, r4",
                "asr r4, r4, #17", // s (1 − s) d² / 2
                "smulbb r4, r4, r5",
                "uxtah {step}, {step}, r5",
                "sub {step}, {step}, r4, asr #15",
                "rsb {step}, {step}, #32768", // σ(−|v|)
                "mla {step}, {step}, r3, {half}",
                "bic r3, r3, r2, asr #31",
                "sub r3, r3, {step}, asr #16",
                "str r3, [{values}], #4",
                "eor r3, r3, r3, asr #31",
                "orr {magnitude}, {magnitude}, r3",
                "cmp {values}, {end}",
                "bne 2b",
                values = inout(reg) values.start => _,
                end = in(reg) values.end,
                down = in(reg) down,
                left = in(reg) left,
                near = in(reg) near,
                half = in(reg) 1 << 15,
                step = out(reg) _,
                magnitude = inout(reg) magnitude,
                out("r2") _, out("r3") _, out("r4") _, out("r5") _,
                options(nostack),
            );
        }
    }
    magnitude
}
