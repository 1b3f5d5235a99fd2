// The LIS2DW12 as the boards' driver uses it: its registers, its clock and its queue of 32 samples, after ST's data sheet.

const IDENTITY = 0x0f;
const CTRL1 = 0x20;
const FIFO_CTRL = 0x2e;
const FIFO_SAMPLES = 0x2f;
const OUT_X_L = 0x28;
const OUT_Z_H = 0x2d;
const CAPACITY = 32;
const SAMPLE_NS = 1e9 / 1600;

export class Lis2dw12 {
  static ADDRESS = 0x19;

  /** Samples that no longer fitted into the queue, and that were taken out of it. */
  lost = 0;
  read = 0;
  /** The most samples that it held. */
  fullest = 0;
  #registers = new Uint8Array(64);
  #queue = [];
  #register = 0;
  #isFirstByte = false;

  /** Feels `motion`, an iterator of [x, y, z] in g, by `clock`; `onSample` is told each sample's index. */
  constructor(clock, motion, onSample) {
    this.#registers[IDENTITY] = 0x44;
    let [index, next] = [0, 0];
    const alarm = clock.createAlarm(() => {
      const { value, done } = motion.next();
      if (done) return onSample(-1);
      onSample(index++);
      this.#push(value);
      // From the time at which this one was due, so that no error adds up.
      next += SAMPLE_NS;
      alarm.schedule(next - clock.nanos);
    });
    this.start = () => {
      next = clock.nanos + SAMPLE_NS;
      alarm.schedule(SAMPLE_NS);
    };
  }

  /** The bus's master begins to write. */
  beginWrite() {
    this.#isFirstByte = true;
  }

  write(byte) {
    if (this.#isFirstByte) {
      this.#register = byte;
      this.#isFirstByte = false;
      return;
    }
    const was = this.#registers[this.#register];
    this.#registers[this.#register] = byte;
    if (this.#register === FIFO_CTRL && byte >> 5 === 0) this.#queue = []; // bypassed
    if (this.#register === CTRL1 && was >> 4 === 0 && byte >> 4 !== 0) this.start();
    this.#register += 1;
  }

  readByte() {
    const at = this.#register;
    // Behind the last byte of a sample comes the first of the next one.
    this.#register = at === OUT_Z_H ? OUT_X_L : at + 1;
    if (at === FIFO_SAMPLES) {
      return this.#queue.length | (this.#registers[FIFO_SAMPLES] & 0x40);
    }
    if (at < OUT_X_L || at > OUT_Z_H) return this.#registers[at];
    const byte = this.#queue.length === 0 ? 0 : this.#queue[0][at - OUT_X_L];
    if (at === OUT_Z_H && this.#queue.length > 0) {
      this.#queue.shift();
      this.read += 1;
      this.#registers[FIFO_SAMPLES] &= ~0x40;
    }
    return byte;
  }

  #push(acceleration) {
    if (this.#registers[FIFO_CTRL] >> 5 !== 6) return; // not in continuous mode
    const bytes = Buffer.alloc(6);
    acceleration.forEach((g, axis) => {
      // ±8 g in 14 bits, at the upper end of 16.
      const count = Math.max(-8192, Math.min(8191, Math.round(g * 1024)));
      bytes.writeInt16LE(4 * count, 2 * axis);
    });
    if (this.#queue.length === CAPACITY) {
      this.#queue.shift();
      this.lost += 1;
      this.#registers[FIFO_SAMPLES] |= 0x40;
    }
    this.#queue.push(bytes);
    this.fullest = Math.max(this.fullest, this.#queue.length);
  }
}
