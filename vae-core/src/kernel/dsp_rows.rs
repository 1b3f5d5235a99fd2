//! The int8 products of ARMv7E-M and ARMv8-M with the DSP extension.
#![allow(unsafe_code)]

use core::{arch::naked_asm, mem::offset_of};

use super::{FLUSH_COLUMNS, ROW_BLOCK, ROW_WORDS};

/// What [`portable::rows_int8`] computes, in instructions of this core.
///
/// `SMLAD` multiplies two halfwords of weights with two of activations and adds both products: with the raw word that is four
/// products, packed; with the word's low bytes (`SXTB16`) two of them again, so that the packing can be undone.
pub fn rows_int8(
    weights: &[u32],
    x: &[u32],
    rows: &[[i32; ROW_WORDS]],
    shift: u32,
    relu: bool,
    out: &mut [i32],
) -> u32 {
    let blocks = (out.len() / ROW_BLOCK).min(rows.len());
    if blocks == 0 || x.is_empty() || !x.len().is_multiple_of(2) || weights.len() < (2 * x.len()).saturating_mul(blocks)
    {
        return 0;
    }
    let (x, out) = (x.as_ptr_range(), out.as_mut_ptr());
    let bytes = x.end.addr().wrapping_sub(x.start.addr());
    let is_whole = bytes <= RUN_BYTES && bytes % STEP_BYTES == 0;
    let first_run = x.start.wrapping_byte_add(bytes.min(RUN_BYTES) / STEP_BYTES * STEP_BYTES);
    let mut job = Job {
        x: x.start,
        run: if is_whole { first_run } else { first_run.wrapping_byte_sub(1) },
        rows: rows.as_ptr(),
        magnitude: 0,
        out,
        out_end: out.wrapping_add(ROW_BLOCK * blocks),
        shift: shift & 31,
        relu: u32::from(relu),
        x_end: x.end,
        first_run: first_run.wrapping_byte_sub(1),
        a: 0,
        c: 0,
    };
    // SAFETY: `blocks` is at least 1 and x a positive multiple of 2 words long. Per block the kernel reads x, twice as many
    // words of weights and one entry of rows, and writes 4 words of out, all of which have as many blocks or more. It keeps to
    // the procedure call standard, and all pointers are to words, as `LDM` needs.
    unsafe { blocks_of_four_rows(weights.as_ptr(), &mut job) };
    job.magnitude
}

/// Bytes of activations in a run of [`super::FLUSH_COLUMNS`].
const RUN_BYTES: usize = 2 * FLUSH_COLUMNS;
/// And in a step, of 32 columns.
const STEP_BYTES: usize = 64;

/// What a kernel keeps in memory for want of registers; the assembly knows the offsets, and copies it to the stack behind four zeros.
#[repr(C)]
struct Job {
    /// On the stack before the zeros, so that a block begins with one `LDM`.
    x: *const u32,
    /// Where the run's steps end; a byte before that where the row may go on, or has more than a run.
    run: *const u32,
    rows: *const [i32; ROW_WORDS],
    magnitude: u32,
    out: *mut i32,
    out_end: *mut i32,
    shift: u32,
    relu: u32,
    x_end: *const u32,
    /// Where the first run's steps end, less a byte.
    first_run: *const u32,
    /// Sums of the runs so far.
    a: i32,
    c: i32,
}

/// Bytes of the zeros.
const ZEROS: usize = 16;

/// Two columns of a pair of rows.
macro_rules! two_columns {
    ($packed:literal, $low:literal, $weights:literal, $x:literal) => {
        concat!(
            "smlad ", $packed, ", ", $weights, ", ", $x, ", ", $packed, "\n", "sxtb16 ", $weights, ", ", $weights,
            "\n", "smlad ", $low, ", ", $weights, ", ", $x, ", ", $low, "\n",
        )
    };
}

/// Four columns of the first pair of rows, whose sums (256 A + B, B) are in r2 and r3.
macro_rules! first_pair {
    ($w:literal, $v:literal, $x:literal, $y:literal) => {
        concat!(two_columns!("r2", "r3", $w, $x), two_columns!("r2", "r3", $v, $y))
    };
}

/// Of the second pair, in r4 and r5.
macro_rules! second_pair {
    ($w:literal, $v:literal, $x:literal, $y:literal) => {
        concat!(two_columns!("r4", "r5", $w, $x), two_columns!("r4", "r5", $v, $y))
    };
}

/// Sixteen columns of four rows: r0 weights, of which those of the first four columns are in r10…lr, and in the end those of the next four where the
/// last argument has their registers; r1 activations. Of the eight registers for both, all that are free are loaded at a time.
macro_rules! sixteen_columns {
    ($next:literal) => {
        concat!(
            "ldm r1!, {{r6, r7, r8, r9}}\n",
            first_pair!("r10", "r11", "r6", "r7"),
            second_pair!("r12", "lr", "r6", "r7"),
            "ldm r0!, {{r6, r7, r10, r11, r12, lr}}\n",
            first_pair!("r6", "r7", "r8", "r9"),
            second_pair!("r10", "r11", "r8", "r9"),
            "ldm r1!, {{r6, r7, r8, r9}}\n",
            first_pair!("r12", "lr", "r6", "r7"),
            "ldm r0!, {{r10, r11, r12, lr}}\n",
            second_pair!("r10", "r11", "r6", "r7"),
            first_pair!("r12", "lr", "r8", "r9"),
            "ldm r0!, {{r6, r7",
            $next,
            "}}\n",
            second_pair!("r6", "r7", "r8", "r9"),
        )
    };
}

/// The first 64 columns of a turn, and where it is entered for 96; without them a turn is of 64, which is entered for 32 before.
#[cfg(feature = "unrolled")]
macro_rules! first_half {
    () => {
        concat!(
            "18:\n",
            sixteen_columns!(", r10, r11, r12, lr"),
            sixteen_columns!(", r10, r11, r12, lr"),
            "19:\n",
            sixteen_columns!(", r10, r11, r12, lr"),
            sixteen_columns!(", r10, r11, r12, lr"),
        )
    };
}
#[cfg(not(feature = "unrolled"))]
macro_rules! first_half {
    () => {
        "18:"
    };
}
#[cfg(feature = "unrolled")]
macro_rules! last_quarter {
    () => {
        ""
    };
}
#[cfg(not(feature = "unrolled"))]
macro_rules! last_quarter {
    () => {
        "19:"
    };
}

/// # Safety
/// As where it is called.
#[unsafe(naked)]
unsafe extern "C" fn blocks_of_four_rows(weights: *const u32, job: &mut Job) {
    // The job is copied to the stack, so that its place needs no register; its magnitude is copied back. A run is at most 224
    // columns in steps of 32 (64 bytes), of which a turn takes four, the first one what is left by four; a tail of fewer columns belongs to the last run.
    naked_asm!(
        dsp!(),
        ".syntax unified",
        "push {{r1, r4-r11, lr}}",
        "sub sp, #{frame}",
        "ldm r1!, {{r2, r7-r12}}",
        "movs r3, #0",
        "movs r4, #0",
        "movs r5, #0",
        "movs r6, #0",
        "stm sp, {{r2-r12}}",
        "ldm r1, {{r3, r4, r5, r6, r8}}",
        "add r12, sp, #44",
        "stm r12, {{r3, r4, r5, r6, r8}}",
        // Where a block begins: one of several runs, or with a tail, or one of whole turns, or of another number of steps. (r2 is x, r7 run.)
        "adr.w r4, 2f",
        "tst r7, #1",
        "bne 1f",
        "adr.w r4, 11f",
        "subs r7, r7, r2",
        "tst r7, #3 * {step_bytes}",
        "beq 1f",
        "adr.w r4, 13f",
        "1:",
        "orr r4, r4, #1", // Thumb code
        "str r4, [sp, #{begin}]",
        "bx r4",
        "2:", // a block of several runs, or with a tail
        "ldm sp, {{r1-r5}}",
        "strd r2, r3, [sp, #{a}]",
        "ldrd r6, r7, [sp, #{x_end}]",
        "str r7, [sp, #{run}]",
        "subs r7, r7, r1",
        "blo 15f",
        "adds r7, #1",
        "b 14f",
        "13:", // a block of one run
        "ldm sp, {{r1-r5}}",
        "ldr r7, [sp, #{run}]",
        "subs r7, r7, r1",
        "14:", // a run of so many bytes of activations: into the turn
        "ubfx r7, r7, #6, #2",
        "ldm r0!, {{r10, r11, r12, lr}}",
        "tbh [pc, r7, lsl #1]",
        "17:",
        ".hword (18f - 17b) / 2, (21f - 17b) / 2, (20f - 17b) / 2, (19f - 17b) / 2",
        "11:", // a block of one run of whole turns
        "ldm sp, {{r1-r5}}",
        "3:", // a turn, of 128 columns or 64
        "ldm r0!, {{r10, r11, r12, lr}}",
        first_half!(),
        "20:", // 64
        sixteen_columns!(", r10, r11, r12, lr"),
        sixteen_columns!(", r10, r11, r12, lr"),
        last_quarter!(),
        "21:", // 32
        sixteen_columns!(", r10, r11, r12, lr"),
        sixteen_columns!(""),
        "ldr r6, [sp, #{run}]",
        "cmp r1, r6",
        "bne 22f",
        "subs r2, r2, r3",
        "asrs r2, r2, #8",
        "subs r4, r4, r5",
        "asrs r4, r4, #8",
        "5:", // the end of a row: r2…r5 become the rows' outputs
        "ldrd r12, lr, [sp, #{rows}]",
        "ldm r12!, {{r6-r11}}",
        "ldr r1, [sp, #{shift}]",
        "asrs r6, r1",
        "asrs r7, r1",
        "asr r8, r8, r1",
        "asr r9, r9, r1",
        "ldr r1, [sp, #{relu}]",
        "smlawb r2, r2, r10, r6",
        "smlawt r3, r3, r10, r7",
        "smlawb r4, r4, r11, r8",
        "smlawt r5, r5, r11, r9",
        "cbz r1, 8f",
        "bic r2, r2, r2, asr #31",
        "bic r3, r3, r3, asr #31",
        "bic r4, r4, r4, asr #31",
        "bic r5, r5, r5, asr #31",
        "orr lr, lr, r2",
        "orr lr, lr, r3",
        "orr lr, lr, r4",
        "orr lr, lr, r5",
        "6:",
        "strd r12, lr, [sp, #{rows}]",
        "ldrd r6, r7, [sp, #{out}]",
        "stm r6!, {{r2, r3, r4, r5}}",
        "str r6, [sp, #{out}]",
        "cmp r6, r7",
        "it ne",
        "ldrne pc, [sp, #{begin}]",
        "ldr r1, [sp, #{frame}]",
        "str lr, [r1, #{magnitude}]",
        "add sp, #{frame} + 4",
        "pop {{r4-r11, pc}}",
        "8:", // outputs of either sign
        "eor r1, r2, r2, asr #31",
        "orr lr, lr, r1",
        "eor r1, r3, r3, asr #31",
        "orr lr, lr, r1",
        "eor r1, r4, r4, asr #31",
        "orr lr, lr, r1",
        "eor r1, r5, r5, asr #31",
        "orr lr, lr, r1",
        "b 6b",
        "22:",
        "blo 3b",
        // What is left of a row: a run, a tail or nothing.
        "ldr r6, [sp, #{x_end}]",
        "ldrd r8, r9, [sp, #{a}]",
        "subs r7, r6, r1",
        "beq 16f",
        "cmp r7, #{step_bytes}",
        "blo 15f",
        "cmp r7, #{run_bytes}",
        "it hi",
        "movhi r7, #{run_bytes}",
        "bic r7, r7, #{step_bytes} - 1",
        "subs r2, r2, r3",
        "add r8, r8, r2, asr #8",
        "subs r4, r4, r5",
        "add r9, r9, r4, asr #8",
        "strd r8, r9, [sp, #{a}]",
        // B and D go on from where they are, which takes them out of the packed sums of the next run.
        "mov r2, r3",
        "mov r4, r5",
        "add r6, r7, r1",
        "subs r6, #1",
        "str r6, [sp, #{run}]",
        "b 14b",
        "15:", // four columns of the tail
        "ldm r1!, {{r8, r9}}",
        "ldm r0!, {{r10, r11, r12, lr}}",
        first_pair!("r10", "r11", "r8", "r9"),
        second_pair!("r12", "lr", "r8", "r9"),
        "cmp r1, r6",
        "bne 15b",
        "16:",
        "ldrd r8, r9, [sp, #{a}]",
        "subs r2, r2, r3",
        "add r2, r8, r2, asr #8",
        "subs r4, r4, r5",
        "add r4, r9, r4, asr #8",
        "b 5b",
        frame = const size_of::<Job>() + ZEROS + 8,
        begin = const size_of::<Job>() + ZEROS,
        rows = const offset_of!(Job, rows) + ZEROS,
        magnitude = const offset_of!(Job, magnitude),
        out = const offset_of!(Job, out) + ZEROS,
        shift = const offset_of!(Job, shift) + ZEROS,
        relu = const offset_of!(Job, relu) + ZEROS,
        x_end = const offset_of!(Job, x_end) + ZEROS,
        run = const offset_of!(Job, run) + ZEROS,
        a = const offset_of!(Job, a) + ZEROS,
        step_bytes = const STEP_BYTES,
        run_bytes = const RUN_BYTES,
    )
}
