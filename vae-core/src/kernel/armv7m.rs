//! The int8 kernel for ARMv7-M, and ARMv8-M without the DSP extension.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::{ROW_BLOCK, portable::sums_of_two_blocks};

/// What [`super::portable::sums_int8`] computes, in instructions of this core.
///
/// Two blocks at a time share each activation that is loaded; a last block without a partner is computed twice.
pub fn sums_int8(weights: &[u32], x: &[u32], sums: &mut [i32]) {
    sums_of_two_blocks(weights, x, sums, |first, second, x, sums, more| {
        let x = x.as_ptr_range();
        // SAFETY: x is a positive multiple of 2 words long, both runs of weights are twice as long, and the sums have four
        // words each. The kernel keeps to the procedure call standard.
        unsafe { eight_rows(first.as_ptr(), second.as_ptr(), x.start, x.end, sums, more) };
    });
}

/// A column of eight rows: lr the end of x, r12 activations, r0 and r1 weights, r2…r6 and r8…r10 the packed and the low sums of
/// each pair. An activation that is zero, as ReLU leaves about half of them, is passed over.
macro_rules! column {
    ($x:literal, $first:literal, $second:literal) => {
        concat!(
            "ldrsh r7, [r12",
            $x,
            "\n",
            "cbz r7, 20f\n",
            "ldrsh r11, [r0, ",
            $first,
            "]\n",
            "mla r2, r11, r7, r2\n",
            "sxtb r11, r11\n",
            "mla r3, r11, r7, r3\n",
            "ldrsh r11, [r0, ",
            $second,
            "]\n",
            "mla r4, r11, r7, r4\n",
            "sxtb r11, r11\n",
            "mla r5, r11, r7, r5\n",
            "ldrsh r11, [r1, ",
            $first,
            "]\n",
            "mla r6, r11, r7, r6\n",
            "sxtb r11, r11\n",
            "mla r10, r11, r7, r10\n",
            "ldrsh r11, [r1, ",
            $second,
            "]\n",
            "mla r8, r11, r7, r8\n",
            "sxtb r11, r11\n",
            "mla r9, r11, r7, r9\n",
            "20:\n",
        )
    };
}

/// Adds the sums of a run over two blocks of rows to `sums` and `more`.
///
/// # Safety
/// `x..x_end` is a positive multiple of 2 words; `first` and `second` have twice as many.
#[unsafe(naked)]
unsafe extern "C" fn eight_rows(
    first: *const u32,
    second: *const u32,
    x: *const u32,
    x_end: *const u32,
    sums: &mut [i32; ROW_BLOCK],
    more: &mut [i32; ROW_BLOCK],
) {
    naked_asm!(
        ".syntax unified",
        "push {{r4-r11, lr}}",
        "mov r12, r2",
        "mov lr, r3",
        "movs r2, #0",
        "movs r3, #0",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "mov r8, #0",
        "mov r9, #0",
        "mov r10, #0",
        // An odd group of four columns first.
        "sub r7, lr, r12",
        "tst r7, #8",
        "beq 3f",
        column!(", #0]", "#0", "#8"),
        column!(", #2]", "#2", "#10"),
        column!(", #4]", "#4", "#12"),
        column!(", #6]", "#6", "#14"),
        "adds r0, #16",
        "adds r1, #16",
        "add r12, #8",
        "b 4f",
        "3:", // eight columns
        column!(", #2]", "#2", "#10"),
        column!(", #4]", "#4", "#12"),
        column!(", #6]", "#6", "#14"),
        column!(", #8]", "#16", "#24"),
        column!(", #10]", "#18", "#26"),
        column!(", #12]", "#20", "#28"),
        column!(", #14]", "#22", "#30"),
        column!("], #16", "#0", "#8"),
        "adds r0, #32",
        "adds r1, #32",
        "4:",
        "cmp r12, lr",
        "bne 3b",
        "ldrd r0, r1, [sp, #36]",
        "mov r7, r10",
        "ldm r0, {{r10, r11, r12, lr}}",
        "subs r2, r2, r3",
        "add r10, r10, r2, asr #8",
        "add r11, r11, r3",
        "subs r4, r4, r5",
        "add r12, r12, r4, asr #8",
        "add lr, lr, r5",
        "stm r0, {{r10, r11, r12, lr}}",
        "ldm r1, {{r10, r11, r12, lr}}",
        "subs r6, r6, r7",
        "add r10, r10, r6, asr #8",
        "add r11, r11, r7",
        "sub r8, r8, r9",
        "add r12, r12, r8, asr #8",
        "add lr, lr, r9",
        "stm r1, {{r10, r11, r12, lr}}",
        "pop {{r4-r11, pc}}",
    )
}
