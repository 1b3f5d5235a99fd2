// Runs the Pico's program, as it is flashed, in rp2040js with a simulated accelerometer on its bus.
//
//     node pico.mjs ELF HEALTHY.csv SECONDS FAULT.csv SECONDS > log
//
// The files hold x, y and z in g at 1600 Hz. What the program logs through RTT goes to standard output, as the probe would give it:
// pipe it into `vae-train watch - --elf ELF`. At the end, a line of JSON on standard error says what happened; times are the
// device's, in which an instruction in flash takes as long as one in RAM: a real RP2040's cache misses are not modelled.

import { readFileSync, writeSync } from "node:fs";
import { I2CMode, RP2040 } from "rp2040js";
import { readElf } from "./elf.mjs";
import { Lis2dw12 } from "./lis2dw12.mjs";

const FLASH = 0x10000000;
const VECTORS = 0x10000100; // behind the second boot stage, which sets the flash up and is passed over
const RAM = 0x20000000;
const VTOR = 0xe000ed08;
const WATCHDOG = 0x40058;
const IC_INTR_MASK = 0x30;
// Cycles of a line from flash: 8 for the address, 4 to wait and 16 for the bytes, at half the core's rate, and some to begin and end.
const MISS = 64;
const WINDOW = 64;
const HOP = 32;

const [elf, healthy, healthySeconds, fault, faultSeconds] = process.argv.slice(2);
if (faultSeconds === undefined) {
  console.error("node pico.mjs ELF HEALTHY.csv SECONDS FAULT.csv SECONDS");
  process.exit(2);
}

/** `seconds` of the columns x, y and z of a CSV file. */
function readMotion(path, seconds) {
  const [header, ...rows] = readFileSync(path, "utf8").trim().split("\n");
  const columns = ["x", "y", "z"].map((name) => header.split(",").indexOf(name));
  const samples = rows.slice(0, 1600 * Number(seconds)).map((row) => {
    const cells = row.split(",").map(Number);
    return columns.map((column) => cells[column]);
  });
  if (samples.length < 1600 * Number(seconds)) throw new Error(`${path} is shorter than ${seconds} s`);
  return samples;
}

/** The accelerometer on the bus, each byte as long as it takes at the bus's rate. */
function connect(rp2040, sensor) {
  const bus = rp2040.i2c[0];
  const bits = (count) => (count * (bus.sclLowPeriod + bus.sclHighPeriod) * 1e9) / rp2040.clkPeri;
  let then = () => {};
  const alarm = rp2040.clock.createAlarm(() => then());
  const after = (count, what) => {
    then = what;
    alarm.schedule(bits(count));
  };
  // rp2040js 1.4.1 lets this register be read, and not written: no interrupt of the bus would come.
  const write = bus.writeUint32.bind(bus);
  bus.writeUint32 = (register, value) => {
    if (register !== IC_INTR_MASK) return write(register, value);
    bus.intEnable = value;
    bus.checkInterrupts();
  };
  bus.onStart = () => after(1, () => bus.completeStart());
  bus.onStop = () => after(1, () => bus.completeStop());
  bus.onConnect = (address, mode) => {
    if (mode === I2CMode.Write) sensor.beginWrite();
    after(9, () => bus.completeConnect(address === Lis2dw12.ADDRESS));
  };
  bus.onWriteByte = (byte) => {
    sensor.write(byte);
    after(9, () => bus.completeWrite(true));
  };
  bus.onReadByte = () => after(9, () => bus.completeRead(sensor.readByte()));
}

/**
 * The cache between the core and the flash, which rp2040js leaves out: 16 KiB, two ways, lines of 8 bytes. Gives the cycles that
 * misses have cost since it was last asked.
 */
function cacheFlash(rp2040) {
  const sets = 1024;
  const lines = new Int32Array(2 * sets).fill(-1); // of each set the one used last, and the other
  let cycles = 0;
  const touch = (address) => {
    if (address >>> 24 !== FLASH >>> 24) return;
    const line = (address & 0xffffff) >>> 3;
    const set = 2 * (line % sets);
    if (lines[set] === line) return;
    if (lines[set + 1] !== line) cycles += MISS;
    lines[set + 1] = lines[set];
    lines[set] = line;
  };
  for (const name of ["readUint8", "readUint16", "readUint32"]) {
    const read = rp2040[name].bind(rp2040);
    rp2040[name] = (address) => {
      touch(address);
      return read(address);
    };
  }
  return () => {
    const missed = cycles;
    cycles = 0;
    return missed;
  };
}

/** The program's log: the first channel of RTT, read as a probe reads it. Gives whether there was something. */
function rtt(rp2040, block) {
  const word = (at) => rp2040.sramView.getUint32(block - RAM + at, true);
  return () => {
    const [buffer, size, write, read] = [28, 32, 36, 40].map(word);
    if (write === read || size === 0) return false;
    const bytes = rp2040.sram.subarray(buffer - RAM, buffer - RAM + size);
    const parts = write > read ? [bytes.subarray(read, write)] : [bytes.subarray(read), bytes.subarray(0, write)];
    for (let part of parts) while (part.length > 0) part = part.subarray(writeSync(1, part));
    rp2040.sramView.setUint32(block - RAM + 40, write, true);
    return true;
  };
}

const motion = [...readMotion(healthy, healthySeconds), ...readMotion(fault, faultSeconds)];
const firstFaulty = 1600 * Number(healthySeconds);
const program = readElf(elf);
const rp2040 = new RP2040();
rp2040.logger = {
  debug() {},
  // It says that there was an SEV, and does not let the next WFE pass, as a core does: tasks that wake each other would sleep.
  info: (_, what) => (rp2040.core.eventRegistered ||= what === "SEV"),
  warn() {},
  error: (...words) => console.error(...words),
};
for (const { address, bytes } of program.segments) rp2040.flash.set(bytes, address - FLASH);
rp2040.core.VTOR = VECTORS;
rp2040.writeUint32(VTOR, VECTORS);
rp2040.core.SP = rp2040.readUint32(VECTORS);
rp2040.core.PC = rp2040.readUint32(VECTORS + 4) & ~1;

const now = () => rp2040.clock.nanos / 1e6;
const part = () => ({ milliseconds: 0, busy: 0, lost: 0, fullest: 0, verdicts: 0, latency: 0 });
const parts = { healthy: part(), fault: part() };
let current = parts.healthy;
let [started, faulty, ended] = [0, 0, false];
const sensor = new Lis2dw12(rp2040.clock, motion.values(), (index) => {
  if (index === 0) started = now();
  if (index === firstFaulty) [faulty, current] = [now(), parts.fault];
  if (index === -1) ended = true;
});
connect(rp2040, sensor);
rp2040.peripherals[WATCHDOG].onWatchdogTrigger = () => {
  throw new Error(`the watchdog bites at ${now()} ms`);
};
const missed = cacheFlash(rp2040);
const drain = rtt(rp2040, program.symbol("_SEGGER_RTT"));

let [complete, read, lost] = [0, 0, 0];
while (!ended) {
  const before = now();
  const { waiting } = rp2040.core;
  for (let step = 0; step < 200 && rp2040.core.waiting === waiting; step++) {
    if (!waiting) rp2040.clock.tick((rp2040.core.executeInstruction() + missed()) * (1e9 / rp2040.clkSys));
    else {
      rp2040.clock.tick(rp2040.clock.nanosToNextAlarm);
      if (rp2040.core.checkForInterrupts()) rp2040.core.waiting = false;
    }
  }
  if (started === 0) {
    drain();
    continue;
  }
  current.milliseconds += now() - before;
  if (!waiting) current.busy += now() - before;
  current.lost += sensor.lost - lost;
  lost = sensor.lost;
  current.fullest = Math.max(current.fullest, sensor.fullest);
  sensor.fullest = 0;
  // The moment at which the last sample of a window had come over the bus.
  if (sensor.read !== read && sensor.read >= WINDOW && (sensor.read - WINDOW) % HOP < sensor.read - read) complete = now();
  read = sensor.read;
  if (drain() && complete > 0) {
    current.verdicts += 1;
    current.latency = Math.max(current.latency, now() - complete);
    complete = 0;
  }
}
const figures = ({ milliseconds, busy, lost, fullest, verdicts, latency }) => ({
  seconds: Number((milliseconds / 1000).toFixed(2)),
  busy: Number((busy / milliseconds).toFixed(3)),
  lost,
  fullest_queue: fullest,
  verdicts,
  slowest_verdict_ms: Number(latency.toFixed(2)),
});
const result = {
  fault_begins_s: Number((faulty / 1000).toFixed(3)),
  healthy: figures(parts.healthy),
  fault: figures(parts.fault),
};
console.error(JSON.stringify(result));
