//! Estimated cycles of scores, by stated rules from a trace of what an emulated Cortex-M4F executes.
//!
//! The rules are those of the *Cortex-M4 Technical Reference Manual* (r0p1), sections 3.3 and 7.2.3, with a refill of the pipeline of `REFILL` cycles
//! where it says 1 to 3, and the most where it gives another range. Memory answers at once.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::bench::Core;

/// Cycles until the first instruction behind a branch that is taken.
const REFILL: u64 = 2;

/// What the name of the function has in it at which `firmware-example/src/bin/cycles.rs` marks a score's begin and end.
const MARK: &str = "cycles4mark";

/// What a score executes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traced {
    /// Instructions.
    pub instructions: u64,
    /// Cycles, by the rules.
    pub cycles: u64,
}

impl Core {
    /// What a score of each model of the folder's pack executes, in order, on a core whose cycles there are rules for.
    ///
    /// # Errors
    /// If the core is another one, the firmware cannot be built, or fails in QEMU, or the trace is not one.
    pub fn trace(&self, models: &Path) -> Result<Vec<Traced>> {
        ensure!(self.name == "Cortex-M4F", "there are no rules for the cycles of {}", self.name);
        let image = self.build("cycles", models, &[])?;
        let mut machine = self.machine();
        machine.args(["-monitor", "none", "-d", "in_asm,exec,nochain", "-kernel"]).arg(image);
        let mut child = machine.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("no QEMU")?;
        let log = child.stderr.take().context("QEMU's log cannot be read")?;
        let traced = scores(BufReader::new(log));
        ensure!(child.wait()?.success(), "{} cycles: the firmware fails", self.name);
        traced
    }
}

/// A run of instructions without a branch but at its end.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    instructions: u64,
    /// If what is behind it follows.
    cycles: u64,
    end: u32,
    is_mark: bool,
}

/// Reads QEMU's log: blocks as they are translated, with the name of their function, and each execution of one.
fn scores(log: impl BufRead) -> Result<Vec<Traced>> {
    let (mut translated, mut blocks) = (HashMap::<u32, Block>::new(), HashMap::<String, Block>::new());
    let mut reader = Reader::default();
    let (mut scores, mut score, mut before, mut in_mark) = (Vec::new(), None::<Traced>, None::<Block>, false);
    for line in log.lines() {
        let line = line?;
        if let Some(name) = line.strip_prefix("IN:") {
            reader = Reader { block: Block { is_mark: name.contains(MARK), ..Block::default() }, ..Reader::default() };
        } else if line.starts_with("0x") {
            reader.add(&line)?;
        } else if let Some(execution) = line.strip_prefix("Trace ") {
            // `0: 0x7f8d90000100 [00800408/00000400/00000110/ff020200] Reset`: where the translation is, and in the second place of what.
            let (place, rest) = execution.split_once(" [").with_context(|| format!("no execution: {line}"))?;
            let start = rest.split('/').nth(1).with_context(|| format!("no address: {line}"))?;
            let start = u32::from_str_radix(start, 16)?;
            if let Some(block) = translated.remove(&start) {
                blocks.insert(place.to_owned(), block);
            }
            let Some(&block) = blocks.get(place) else { bail!("never translated: {line}") };
            if let (Some(Block { end, .. }), Some(score)) = (before, &mut score)
                && end != start
            {
                score.cycles += REFILL;
            }
            before = (!block.is_mark && score.is_some()).then_some(block);
            if block.is_mark && !in_mark {
                match score.take() {
                    Some(score) => scores.push(score),
                    None => score = Some(Traced::default()),
                }
            } else if let Some(score) = &mut score {
                score.instructions += block.instructions;
                score.cycles += block.cycles;
            }
            in_mark = block.is_mark;
        } else if let Some(start) = reader.start.take() {
            translated.insert(start, reader.block);
        }
    }
    Ok(scores)
}

/// A block that is being read.
#[derive(Default)]
struct Reader {
    start: Option<u32>,
    block: Block,
    /// Whether the instruction before loads one register.
    is_behind_load: bool,
}

impl Reader {
    /// Adds an instruction, as `0x000012c4:  b580       push     {r7, lr}`.
    fn add(&mut self, line: &str) -> Result<()> {
        let (address, rest) = line.split_once(':').with_context(|| format!("no instruction: {line}"))?;
        let address = u32::from_str_radix(address.trim_start_matches("0x"), 16)?;
        let words = rest.split_whitespace().take_while(|word| word.len() == 4 && u16::from_str_radix(word, 16).is_ok());
        let halfwords = words.count();
        let mut words = rest.split_whitespace().skip(halfwords);
        let name = words.next().with_context(|| format!("no instruction: {line}"))?;
        let operands = words.collect::<Vec<_>>().join(" ");
        let (cycles, is_load) = price(name, &operands, self.is_behind_load);
        self.start.get_or_insert(address);
        self.is_behind_load = is_load;
        self.block.instructions += 1;
        self.block.cycles += cycles;
        self.block.end = address + 2 * halfwords as u32;
        Ok(())
    }
}

/// Cycles of an instruction, without a refill, and whether it loads one register.
fn price(name: &str, operands: &str, is_behind_load: bool) -> (u64, bool) {
    let is = |names: &[&str]| names.iter().any(|start| name.starts_with(start));
    let cycles = if is(&["ldrd", "strd"]) {
        3
    } else if is(&["ldm", "stm", "push", "pop", "vldm", "vstm", "vpush", "vpop"]) {
        1 + registers(operands)
    } else if is(&["ldr"]) {
        return (if is_behind_load { 1 } else { 2 }, true);
    } else if is(&["str"]) {
        // The address is there in the first cycle, unless it is a sum of registers.
        let is_sum = operands.split_once('[').is_some_and(|(_, place)| place.contains(", r"));
        1 + u64::from(is_sum)
    } else if is(&["udiv", "sdiv"]) {
        12
    } else if is(&["vdiv", "vsqrt"]) {
        14
    } else if is(&["vmla", "vmls", "vnml", "vfma", "vfms", "vfnm"]) {
        3
    } else if is(&["vldr", "vstr", "tbb", "tbh", "mrs", "msr"]) || (is(&["vmov"]) && operands.matches(',').count() == 3)
    {
        2
    } else {
        1
    };
    (cycles, false)
}

/// Words of a list of registers.
fn registers(operands: &str) -> u64 {
    let list = operands.split_once('{').map_or("", |(_, list)| list);
    list.split(',').map(|register| if register.trim().starts_with('d') { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
----------------
IN: _ZN6cycles4mark17hE
0x00000100:  4770       bx       lr

Trace 0: 0x7f00 [00800408/00000100/00000110/ff020200] _ZN6cycles4mark17hE
----------------
IN: _ZN6cycles3runE
0x00000200:  e895 01c0  ldm.w    r5, {r6, r7, r8}
0x00000204:  6801       ldr      r1, [r0]
0x00000206:  6842       ldr      r2, [r0, #4]
0x00000208:  fb20 3102  smlad    r1, r0, r2, r3
0x0000020c:  6001       str      r1, [r0]
0x0000020e:  5081       str      r1, [r0, r2]
0x00000210:  ec51 0a10  vmov     r0, r1, s0, s1
0x00000214:  ee20 0a00  vmul.f32 s0, s0, s0
0x00000218:  ee00 0a00  vmla.f32 s0, s0, s0
0x0000021c:  ed2d 8b04  vpush    {d8, d9}
0x00000220:  d1ee       bne      #0x200

Trace 0: 0x7f01 [00800408/00000200/00000110/ff020200] _ZN6cycles3runE
Trace 0: 0x7f01 [00800408/00000200/00000110/ff020200] _ZN6cycles3runE
----------------
IN: _ZN6cycles3runE
0x00000222:  fbb0 f0f1  udiv     r0, r0, r1
0x00000226:  f7ff ff6b  bl       #0x100

Trace 0: 0x7f02 [00800408/00000222/00000110/ff020200] _ZN6cycles3runE
Trace 0: 0x7f00 [00800408/00000100/00000110/ff020200] _ZN6cycles4mark17hE
Trace 0: 0x7f02 [00800408/00000222/00000110/ff020200] _ZN6cycles3runE
";

    #[test]
    fn a_snippet_costs_what_it_does_by_hand() {
        // 4 + 2 + 1 + 1 + 1 + 2 + 2 + 1 + 3 + 5 + 1 twice, one refill between; 12 + 1, and a refill.
        let expected = Traced { instructions: 2 * 11 + 2, cycles: 2 * 23 + 2 + 13 + 2 };
        assert_eq!(scores(LOG.as_bytes()).unwrap(), [expected]);
    }

    #[test]
    fn what_was_never_translated_is_refused() {
        assert!(scores(&b"Trace 0: 0x7f09 [00800408/00000100/0/0] x\n"[..]).is_err());
    }
}
