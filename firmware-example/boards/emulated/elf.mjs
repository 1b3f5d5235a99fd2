// What an emulator needs of a 32-bit, little-endian ELF file: what to load where, and where symbols lie.

import { readFileSync } from "node:fs";

const LOADED = 1; // a segment's kind
const SYMBOLS = 2; // a section's kind

/** The program in `path`: `segments` of { address, bytes }, and `symbol(name)`, its address. */
export function readElf(path) {
  const file = readFileSync(path);
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 1 || file[5] !== 1) {
    throw new Error(`${path} is not an ELF file of 32 bits, little-endian`);
  }
  const table = (offset, size, count) => Array.from({ length: count }, (_, index) => offset + index * size);
  const segments = table(file.readUInt32LE(28), file.readUInt16LE(42), file.readUInt16LE(44))
    .filter((at) => file.readUInt32LE(at) === LOADED && file.readUInt32LE(at + 16) > 0)
    .map((at) => {
      const offset = file.readUInt32LE(at + 4);
      // Where it is stored, not where it runs: the program copies its initial values itself.
      return { address: file.readUInt32LE(at + 12), bytes: file.subarray(offset, offset + file.readUInt32LE(at + 16)) };
    });
  const sections = table(file.readUInt32LE(32), file.readUInt16LE(46), file.readUInt16LE(48)).map((at) => ({
    kind: file.readUInt32LE(at + 4),
    offset: file.readUInt32LE(at + 16),
    size: file.readUInt32LE(at + 20),
    link: file.readUInt32LE(at + 24),
  }));
  return { segments, symbol: (name) => findSymbol(file, sections, name) };
}

function findSymbol(file, sections, name) {
  for (const { offset, size, link } of sections.filter((section) => section.kind === SYMBOLS)) {
    for (let at = offset; at < offset + size; at += 16) {
      const start = sections[link].offset + file.readUInt32LE(at);
      if (file.toString("latin1", start, file.indexOf(0, start)) === name) {
        return file.readUInt32LE(at + 4);
      }
    }
  }
  throw new Error(`the program has no symbol ${name}`);
}
