"use strict";
// What the page computes: the formulas of dcgan_cupy.reference for one image and one channel, tap by tap.
//
// A spec has the kernels' integers: H W KH KW stride_h stride_w pad_h pad_w, for a transposed convolution extra_h and
// extra_w (its output_padding), and its arrays as lists of rows. No function here knows of the document: the tests run
// this text without one.

const KINDS = {
  conv2d_forward: { thread: ["oh", "ow"], tap: ["kh", "kw"], left: "x", right: "w", out: "y" },
  conv2d_backward_input: { thread: ["h", "w"], tap: ["kh", "kw"], left: "dy", right: "w", out: "dx" },
  conv2d_backward_weight: { thread: ["kh", "kw"], tap: ["oh", "ow"], left: "x", right: "dy", out: "dw" },
  conv_transpose2d_forward: { thread: ["oh", "ow"], tap: ["kh", "kw"], left: "x", right: "w", out: "y" },
};
const WAYS = ["four steps", "gather", "phases"];

// Sizes

function convolutionSize(size, kernel, stride, pad) {
  return Math.floor((size + 2 * pad - kernel) / stride) + 1;
}

function transposedSize(size, kernel, stride, pad, extra) {
  return stride * (size - 1) + kernel - 2 * pad + extra;
}

function zeroInsertSize(size, kernel, stride, pad, extra) {
  return (size - 1) * stride + 1 + 2 * (kernel - pad - 1) + extra;
}

// Why these sizes cannot be, in one sentence; "" where they can.
function refusal(kind, s) {
  const transposed = kind === "conv_transpose2d_forward";
  const least = { H: 1, W: 1, KH: 1, KW: 1, stride_h: 1, stride_w: 1, pad_h: 0, pad_w: 0 };
  if (transposed) Object.assign(least, { extra_h: 0, extra_w: 0 });
  for (const [name, low] of Object.entries(least))
    if (!Number.isInteger(s[name]) || s[name] < low)
      return `${name}: need a whole number of at least ${low}, got ${s[name]}`;
  for (const [axis, size, kernel] of [["h", s.H, s.KH], ["w", s.W, s.KW]]) {
    const name = axis === "h" ? "height" : "width";
    const stride = s["stride_" + axis], pad = s["pad_" + axis], extra = s["extra_" + axis];
    if (!transposed && size + 2 * pad < kernel)
      return `${name}: need at least ${kernel - 2 * pad} for kernel ${kernel} and padding ${pad}, got ${size}`;
    if (transposed && extra >= stride) return `output_padding: need less than the stride, ${stride}, got ${extra}`;
    if (transposed && transposedSize(size, kernel, stride, pad, extra) < 1)
      return `${name}: need an output of at least 1 pixel, got ${transposedSize(size, kernel, stride, pad, extra)}`;
  }
  return "";
}

// The sizes that follow: OH OW, and for a transposed convolution ZH ZW and p' of the four steps.
function geometry(kind, s) {
  if (kind !== "conv_transpose2d_forward")
    return { OH: convolutionSize(s.H, s.KH, s.stride_h, s.pad_h), OW: convolutionSize(s.W, s.KW, s.stride_w, s.pad_w) };
  return {
    OH: transposedSize(s.H, s.KH, s.stride_h, s.pad_h, s.extra_h),
    OW: transposedSize(s.W, s.KW, s.stride_w, s.pad_w, s.extra_w),
    ZH: zeroInsertSize(s.H, s.KH, s.stride_h, s.pad_h, s.extra_h),
    ZW: zeroInsertSize(s.W, s.KW, s.stride_w, s.pad_w, s.extra_w),
    around_h: s.KH - s.pad_h - 1,
    around_w: s.KW - s.pad_w - 1,
  };
}

// [rows, columns] of one of the arrays, by its name.
function shapeOf(kind, s, name) {
  const { OH, OW } = geometry(kind, s);
  const image = [s.H, s.W], filter = [s.KH, s.KW], output = [OH, OW];
  return { x: image, dx: image, w: filter, dw: filter, y: output, dy: output }[name];
}

// Taps: each is { row, column } of the left and right factor, ok, and why not: "row" or "column".

function met(left, right, rowIsIn, columnIsIn) {
  return { left, right, ok: rowIsIn && columnIsIn, why: !rowIsIn ? "row" : !columnIsIn ? "column" : "" };
}

function inside(i, size) {
  return i >= 0 && i < size;
}

// Convolution: output (oh, ow) meets pixel (oh * stride - pad + kh, ow * stride - pad + kw) at tap (kh, kw).
function pixelAt(s, oh, ow, kh, kw) {
  return [oh * s.stride_h - s.pad_h + kh, ow * s.stride_w - s.pad_w + kw];
}

function forwardTap(s, g, [oh, ow], [kh, kw]) {
  const [h, col] = pixelAt(s, oh, ow, kh, kw);
  return met([h, col], [kh, kw], inside(h, s.H), inside(col, s.W));
}

function backwardWeightTap(s, g, [kh, kw], [oh, ow]) {
  const [h, col] = pixelAt(s, oh, ow, kh, kw);
  return met([h, col], [oh, ow], inside(h, s.H), inside(col, s.W));
}

// The gather: which number of a small image (rows x columns) reaches (h, col) of the large one through this tap?
function gatherTap(s, rows, columns, [h, col], [kh, kw]) {
  const up = h + s.pad_h - kh, left = col + s.pad_w - kw;
  const from = [up / s.stride_h, left / s.stride_w];
  const reaches = (place, stride, size) => place >= 0 && place % stride === 0 && place / stride < size;
  return met(from, [kh, kw], reaches(up, s.stride_h, rows), reaches(left, s.stride_w, columns));
}

const TAP = {
  conv2d_forward: forwardTap,
  conv2d_backward_input: (s, g, thread, tap) => gatherTap(s, g.OH, g.OW, thread, tap),
  conv2d_backward_weight: backwardWeightTap,
  conv_transpose2d_forward: (s, g, thread, tap) => gatherTap(s, s.H, s.W, thread, tap),
};

// Every tap of one thread in the kernel's order, with its product and the sum so far.
function tapsOf(kind, s, thread) {
  const g = geometry(kind, s), names = KINDS[kind];
  const [rows, columns] = shapeOf(kind, s, names.tap[0] === "kh" ? "w" : "y");
  const found = [];
  let sum = 0;
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      const t = TAP[kind](s, g, thread, [r, c]);
      t.tap = [r, c];
      t.factors = t.ok ? [s[names.left][t.left[0]][t.left[1]], s[names.right][t.right[0]][t.right[1]]] : [0, 0];
      t.product = t.ok ? t.factors[0] * t.factors[1] : 0;
      t.sum = sum += t.product;
      found.push(t);
    }
  return found;
}

// The textbook's four steps

function zeroInsert(s) {
  const g = geometry("conv_transpose2d_forward", s);
  const z = table(g.ZH, g.ZW, () => 0);
  for (let h = 0; h < s.H; h++)
    for (let w = 0; w < s.W; w++) {
      const zh = s.stride_h * h + g.around_h, zw = s.stride_w * w + g.around_w;
      if (inside(zh, g.ZH) && inside(zw, g.ZW)) z[zh][zw] = s.x[h][w];
    }
  return z;
}

// What lies at z[zh, zw]: "number", "between" (a zero of step 2) or "around" (a zero of step 3).
function placeInZ(s, zh, zw) {
  const g = geometry("conv_transpose2d_forward", s);
  const down = zh - g.around_h, right = zw - g.around_w;
  if (!inside(down, s.stride_h * (s.H - 1) + 1) || !inside(right, s.stride_w * (s.W - 1) + 1)) return "around";
  return down % s.stride_h === 0 && right % s.stride_w === 0 ? "number" : "between";
}

function turned(w) {
  return table(w.length, w[0].length, (r, c) => w[w.length - 1 - r][w[0].length - 1 - c]);
}

function fourSteps(s, [oh, ow]) {
  const z = zeroInsert(s), w = turned(s.w);
  let sum = 0;
  for (let kh = 0; kh < s.KH; kh++) for (let kw = 0; kw < s.KW; kw++) sum += z[oh + kh][ow + kw] * w[kh][kw];
  return sum;
}

// The phases: only taps that leave the remainder of the thread's own place

function phaseOf(s, [oh, ow]) {
  return [(oh + s.pad_h) % s.stride_h, (ow + s.pad_w) % s.stride_w];
}

function phases(s, [oh, ow]) {
  const [a_h, a_w] = phaseOf(s, [oh, ow]);
  let sum = 0;
  for (let kh = a_h; kh < s.KH; kh += s.stride_h) {
    const h = (oh + s.pad_h - kh) / s.stride_h;
    if (!inside(h, s.H)) continue;
    for (let kw = a_w; kw < s.KW; kw += s.stride_w) {
      const w = (ow + s.pad_w - kw) / s.stride_w;
      if (inside(w, s.W)) sum += s.x[h][w] * s.w[kh][kw];
    }
  }
  return sum;
}

function isOfPhase(s, thread, [kh, kw]) {
  const [a_h, a_w] = phaseOf(s, thread);
  return kh % s.stride_h === a_h && kw % s.stride_w === a_w;
}

// How many of one thread's taps each way looks at, multiplies, and multiplies with a zero that it has put there itself.
function countWays(s, thread, taps) {
  const g = geometry("conv_transpose2d_forward", s);
  const counts = { "four steps": [0, 0, 0], gather: [0, 0, 0], phases: [0, 0, 0] };
  const add = (way, looked, multiplied, zero) => [looked, multiplied, zero].forEach((n, i) => (counts[way][i] += n));
  for (const { tap, ok } of taps) {
    const [zh, zw] = inZ(s, g, thread, tap);
    add("four steps", 1, 1, placeInZ(s, zh, zw) === "number" ? 0 : 1);
    add("gather", 1, ok, 0);
    add("phases", isOfPhase(s, thread, tap), ok, 0);
  }
  return counts;
}

// Where the four steps meet tap (kh, kw) of the filter before it was turned.
function inZ(s, g, [oh, ow], [kh, kw]) {
  return [oh + s.KH - 1 - kh, ow + s.KW - 1 - kw];
}

// Whole results

function table(rows, columns, make) {
  return Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => make(r, c)));
}

function oneThread(kind, s, thread, way) {
  if (way === "four steps") return fourSteps(s, thread);
  if (way === "phases") return phases(s, thread);
  return tapsOf(kind, s, thread).at(-1).sum;
}

// compute(kind, spec, way) -> { shape, values } or { refusal }. way: of a transposed convolution, one of WAYS.
function compute(kind, spec, way = "gather") {
  const refused = refusal(kind, spec);
  if (refused) return { refusal: refused };
  const shape = shapeOf(kind, spec, KINDS[kind].out);
  return { shape, values: table(...shape, (r, c) => oneThread(kind, spec, [r, c], way)) };
}

// The names of the cases (a spec, and what dcgan_cupy.reference answers) for which compute says something else.
function selfTest(cases) {
  const ways = kind => (kind === "conv_transpose2d_forward" ? WAYS : ["gather"]);
  return cases.filter(c => !ways(c.kind).every(way => isAnswered(c, way))).map(c => c.name);
}

function isAnswered(c, way) {
  try {
    return JSON.stringify(compute(c.kind, c.spec, way).values) === JSON.stringify(c.values);
  } catch {
    return false; // a wrong index reads from no row
  }
}
