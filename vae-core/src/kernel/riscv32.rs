//! The int8 kernel for RV32IM and its supersets.
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
        // words each. The kernel keeps to the calling convention.
        unsafe { eight_rows(first.as_ptr(), second.as_ptr(), x.start, x.end, sums, more) };
    });
}

/// A pair of rows in a column whose activation is in t0; the low byte of a halfword comes first in memory.
macro_rules! pair {
    ($at:literal, $weights:literal, $packed:literal, $low:literal) => {
        concat!(
            "lh t1, ",
            $at,
            "(",
            $weights,
            ")\n",
            "lb t2, ",
            $at,
            "(",
            $weights,
            ")\n",
            "mul t1, t1, t0\n",
            "mul t2, t2, t0\n",
            "add ",
            $packed,
            ", ",
            $packed,
            ", t1\n",
            "add ",
            $low,
            ", ",
            $low,
            ", t2\n",
        )
    };
}

/// A column of eight rows: a2 activations, a0 and a1 weights, a6, a7, t3…t6, s0 and s1 the packed and the low sums of each
/// pair. An activation that is zero, as ReLU leaves about half of them, is passed over.
macro_rules! column {
    ($x:literal, $first:literal, $second:literal) => {
        concat!(
            "lh t0, ",
            $x,
            "(a2)\n",
            "beqz t0, 20f\n",
            pair!($first, "a0", "a6", "a7"),
            pair!($second, "a0", "t3", "t4"),
            pair!($first, "a1", "t5", "t6"),
            pair!($second, "a1", "s0", "s1"),
            "20:\n",
        )
    };
}

/// Unpacks the sums of two pairs and adds them to four in memory.
macro_rules! add_sums {
    ($sums:literal, $a:literal, $b:literal, $c:literal, $d:literal) => {
        concat!(
            "sub ",
            $a,
            ", ",
            $a,
            ", ",
            $b,
            "\n",
            "srai ",
            $a,
            ", ",
            $a,
            ", 8\n",
            "sub ",
            $c,
            ", ",
            $c,
            ", ",
            $d,
            "\n",
            "srai ",
            $c,
            ", ",
            $c,
            ", 8\n",
            add_to!($sums, "0", $a),
            add_to!($sums, "4", $b),
            add_to!($sums, "8", $c),
            add_to!($sums, "12", $d),
        )
    };
}

/// Adds a register to a word in memory.
macro_rules! add_to {
    ($sums:literal, $at:literal, $value:literal) => {
        concat!("lw t0, ", $at, "(", $sums, ")\nadd t0, t0, ", $value, "\nsw t0, ", $at, "(", $sums, ")\n")
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
        // What the target's name says is not known to the assembler here.
        ".option push",
        ".option arch, +m, +c",
        "addi sp, sp, -16",
        "sw s0, 0(sp)",
        "sw s1, 4(sp)",
        "li a6, 0",
        "li a7, 0",
        "li t3, 0",
        "li t4, 0",
        "li t5, 0",
        "li t6, 0",
        "li s0, 0",
        "li s1, 0",
        "2:", // four columns
        column!("0", "0", "8"),
        column!("2", "2", "10"),
        column!("4", "4", "12"),
        column!("6", "6", "14"),
        "addi a0, a0, 16",
        "addi a1, a1, 16",
        "addi a2, a2, 8",
        "bne a2, a3, 2b",
        add_sums!("a4", "a6", "a7", "t3", "t4"),
        add_sums!("a5", "t5", "t6", "s0", "s1"),
        "lw s0, 0(sp)",
        "lw s1, 4(sp)",
        "addi sp, sp, 16",
        "ret",
        ".option pop",
    )
}
