"use strict";
// The machine: kernels compiled to WebAssembly, one memory, and the launches of one image in their order.
//
// No function here knows of the document: the tests run this text without one.

// Bytes of a base64 text, a piece at a time: one string of all of them would be held beside the text.
function bytesOf(base64) {
  const text = base64.trim(), step = 1 << 16;
  const end = (text.length / 4) * 3 - (text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0);
  const bytes = new Uint8Array(end);
  for (let from = 0, to = 0; from < text.length; from += step) {
    const part = atob(text.slice(from, from + step));
    for (let i = 0; i < part.length; i++) bytes[to++] = part.charCodeAt(i);
  }
  return bytes;
}

// The number that 16 bits stand for: sign, exponent of 5 bits, fraction of 10.
function ofHalf(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

// Copies a page's weights to their places: `pieces` says [address, count, bytes of a number], one behind the other.
function place(pieces, weights, memory, base) {
  const halves = pieces.some(p => p[2] === 2) && Float32Array.from({ length: 65536 }, (_, bits) => ofHalf(bits));
  let from = 0;
  for (const [at, count, each] of pieces) {
    const part = weights.slice(from, from + count * each); // slice: starts where numbers of any size may
    const numbers = new Float32Array(memory, base + at, count);
    if (each === 4) numbers.set(new Float32Array(part.buffer));
    else new Uint16Array(part.buffer).forEach((bits, i) => (numbers[i] = halves[bits]));
    from += count * each;
  }
}

class Machine {
  // facts: of the page; exports: of the module's instance; weights: bytes of all pieces.
  constructor(facts, exports, weights) {
    const page = 65536, memory = exports.memory;
    this.facts = facts;
    this.exports = exports;
    this.base = Math.ceil(exports.__heap_base.value / 64) * 64;
    const missing = this.base + facts.arena - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / page));
    this.memory = memory.buffer;
    place(facts.pieces, weights, this.memory, this.base);
  }

  floats(at, count) {
    return new Float32Array(this.memory, this.base + at, count);
  }

  // One launch: [kernel, grid, block, arguments]; addresses are counted from the arena's start, null is no array.
  launch([kernel, ...given]) {
    const sizes = given.slice(0, 6), types = this.facts.types[kernel];
    const as = { p: v => (v === null ? 0 : this.base + v), q: BigInt, n: v => v };
    const values = given.slice(6).map((v, i) => as[types[i]](v));
    this.exports[kernel](...sizes, ...values);
  }

  // The latent vector that `dcgan-cupy sample --seed` draws first.
  drawn(seed) {
    const { at, stream } = this.facts.state;
    new BigUint64Array(this.memory, this.base + at, 3).set([BigInt(seed), BigInt(stream), 0n]);
    this.facts.draw.forEach(step => this.launch(step));
    return Float32Array.from(this.floats(this.facts.drawn, this.facts.z.count));
  }

  // Runs all stages. off: stage's number -> channels to be set to 0 behind it; clock: of milliseconds, or none.
  // Returns the milliseconds of each stage.
  run(z, label = 0, off = {}, clock = () => 0) {
    const { facts } = this;
    this.floats(facts.z.at, facts.z.count).set(z);
    if (facts.label !== null) new Int32Array(this.memory, this.base + facts.label, 1)[0] = label;
    return facts.stages.map((stage, number) => {
      const start = clock();
      stage.launches.forEach(step => this.launch(step));
      for (const channel of off[number] || []) this.silence(stage, channel);
      return clock() - start;
    });
  }

  silence({ at, shape }, channel) {
    const [h, w, c] = shape, y = this.floats(at, h * w * c);
    for (let i = channel; i < y.length; i += c) y[i] = 0;
  }

  // What a stage made: { shape: [h, w, c], values }, in place until the next run.
  made(number) {
    const { at, shape } = this.facts.stages[number];
    return { shape, values: this.floats(at, shape[0] * shape[1] * shape[2]) };
  }

  image() {
    return this.made(this.facts.stages.length - 1);
  }

  // The largest difference from what another device drew of seed 0.
  difference() {
    this.run(this.drawn(0));
    const { places, values } = this.facts.check, image = this.image().values;
    return Math.max(...places.map((place, i) => Math.abs(image[place] - values[i])));
  }
}

// Latent vectors

// From a to b at t in [0, 1]: a line for a uniform prior; the great circle, which keeps the length, for a normal one.
function between(a, b, t, prior) {
  return prior === "normal" ? onCircle(a, b, t) : onLine(a, b, t);
}

function onLine(a, b, t) {
  return a.map((v, i) => (1 - t) * v + t * b[i]);
}

const length = v => Math.hypot(...v);

function onCircle(a, b, t) {
  const of_a = length(a), of_b = length(b);
  const cosine = a.reduce((sum, v, i) => sum + (v / of_a) * (b[i] / of_b), 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (!(Math.sin(angle) >= 1e-6)) return onLine(a, b, t); // the same direction, or opposite ones: no circle is given
  const long = (1 - t) * of_a + t * of_b, to_a = Math.sin((1 - t) * angle), to_b = Math.sin(t * angle);
  return a.map((v, i) => ((to_a * v) / of_a + (to_b * b[i]) / of_b) / Math.sin(angle) * long);
}

// z, narrowed, moved along the directions and by numbers of its own.
function moved(z, { narrow, along, own }, directions) {
  return z.map((v, i) => narrow * v + directions.reduce((sum, d, k) => sum + along[k] * d[i], 0) + own[i]);
}
