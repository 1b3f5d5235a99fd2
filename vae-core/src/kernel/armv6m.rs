//! The int8 kernel for ARMv6-M, whose instructions reach eight registers.
#![allow(unsafe_code)]

use core::arch::naked_asm;

use super::{FLUSH_COLUMNS, ROW_BLOCK, portable};

/// What [`super::portable::sums_int8`] computes, in instructions of this core.
pub fn sums_int8(weights: &[u32], x: &[u32], sums: &mut [i32]) {
    portable::clear(sums);
    let block = 2 * x.len();
    if block == 0 || !x.len().is_multiple_of(2) {
        return;
    }
    for (weights, sums) in portable::blocks(weights, block).zip(sums.as_chunks_mut::<ROW_BLOCK>().0) {
        for (x, weights) in portable::runs(x, FLUSH_COLUMNS / 2).zip(portable::runs(weights, FLUSH_COLUMNS)) {
            let x = x.as_ptr_range();
            // SAFETY: x is a positive multiple of 2 words long, the run of weights is twice as long. The kernel keeps to the
            // procedure call standard.
            unsafe { four_rows(weights.as_ptr(), x.start, x.end, sums) };
        }
    }
}

/// Two columns of four rows: r0 weights, r1 activations, r8…r11 the packed and the low sums of each pair. An activation that
/// is zero, as ReLU leaves about half of them, is passed over.
macro_rules! two_columns {
    ($x:literal, $first:literal, $second:literal) => {
        concat!(
            "ldr r2, [r1, ",
            $x,
            "]\n",
            "ldr r4, [r0, ",
            $first,
            "]\n",
            "ldr r5, [r0, ",
            $second,
            "]\n",
            "lsls r3, r2, #16\n",
            "beq 20f\n",
            "asrs r3, r3, #16\n",
            "sxth r6, r4\n",
            "sxtb r7, r4\n",
            "muls r6, r3\n",
            "add r8, r6\n",
            "muls r7, r3\n",
            "add r9, r7\n",
            "sxth r6, r5\n",
            "sxtb r7, r5\n",
            "muls r6, r3\n",
            "add r10, r6\n",
            "muls r7, r3\n",
            "add r11, r7\n",
            "20:\n",
            "asrs r2, r2, #16\n",
            "beq 20f\n",
            "asrs r4, r4, #16\n",
            "sxtb r7, r4\n",
            "muls r4, r2\n",
            "add r8, r4\n",
            "muls r7, r2\n",
            "add r9, r7\n",
            "asrs r5, r5, #16\n",
            "sxtb r7, r5\n",
            "muls r5, r2\n",
            "add r10, r5\n",
            "muls r7, r2\n",
            "add r11, r7\n",
            "20:\n",
        )
    };
}

/// Adds the sums of a run over a block of rows to `sums`.
///
/// # Safety
/// `x..x_end` is a positive multiple of 2 words; `weights` has twice as many.
#[unsafe(naked)]
unsafe extern "C" fn four_rows(weights: *const u32, x: *const u32, x_end: *const u32, sums: &mut [i32; ROW_BLOCK]) {
    naked_asm!(
        ".syntax unified",
        "push {{r3-r7, lr}}",
        "mov r3, r8",
        "mov r4, r9",
        "mov r5, r10",
        "mov r6, r11",
        "push {{r3-r6}}",
        "mov r12, r2",
        "movs r3, #0",
        "mov r8, r3",
        "mov r9, r3",
        "mov r10, r3",
        "mov r11, r3",
        // An odd group of four columns first.
        "subs r2, r2, r1",
        "lsrs r2, r2, #4",
        "bcc 2f",
        two_columns!("#0", "#0", "#8"),
        two_columns!("#4", "#4", "#12"),
        "adds r0, #16",
        "adds r1, #8",
        "b 3f",
        "2:", // eight columns
        two_columns!("#0", "#0", "#8"),
        two_columns!("#4", "#4", "#12"),
        two_columns!("#8", "#16", "#24"),
        two_columns!("#12", "#20", "#28"),
        "adds r0, #32",
        "adds r1, #16",
        "3:",
        "cmp r1, r12",
        "beq 4f",
        "b 2b",
        "4:",
        "mov r1, r8",
        "mov r2, r9",
        "mov r3, r10",
        "mov r4, r11",
        "subs r1, r1, r2",
        "asrs r1, r1, #8",
        "subs r3, r3, r4",
        "asrs r3, r3, #8",
        "ldr r0, [sp, #16]",
        "ldr r5, [r0, #0]",
        "adds r1, r1, r5",
        "ldr r5, [r0, #4]",
        "adds r2, r2, r5",
        "ldr r5, [r0, #8]",
        "adds r3, r3, r5",
        "ldr r5, [r0, #12]",
        "adds r4, r4, r5",
        "stm r0!, {{r1, r2, r3, r4}}",
        "pop {{r3-r6}}",
        "mov r8, r3",
        "mov r9, r4",
        "mov r10, r5",
        "mov r11, r6",
        "pop {{r3-r7, pc}}",
    )
}
