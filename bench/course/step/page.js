"use strict";
// The drawing: one state, and one function that draws all of it.

const DATA = JSON.parse(document.getElementById("data").textContent);
const NAMES = {
  conv2d_forward: "Convolution",
  conv2d_backward_input: "Gradient of its input",
  conv2d_backward_weight: "Gradient of its weights",
  conv_transpose2d_forward: "Transposed convolution",
};
const CONTROLS = { H: "height H", W: "width W", K: "kernel", S: "stride", P: "padding", O: "output_padding" };
const TRANSPOSED = "conv_transpose2d_forward";
const state = {
  kind: "conv2d_forward",
  convolution: { H: 5, W: 7, K: 3, S: 2, P: 1, O: 0 },
  transposed: { H: 3, W: 4, K: 4, S: 2, P: 1, O: 0 },
  thread: 0,
  tap: 0,
};
const FOCUSABLE = "summary, [tabindex='0']";
let playing = null;

const byId = id => document.getElementById(id);
const span = (name, text) => `<span class="${name}">${text}</span>`;
const signed = n => String(n).replace("-", "−");
const factor = n => (n < 0 ? `(${signed(n)})` : String(n));
const safe = text => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");

// The state

function isTransposed() {
  return state.kind === TRANSPOSED;
}

function sizes() {
  return isTransposed() ? state.transposed : state.convolution;
}

function filled(name, [rows, columns]) {
  return table(rows, columns, (r, c) => DATA.numbers[name][r * columns + c]);
}

// The spec of the sizes that are set, with its numbers.
function currentSpec() {
  const { H, W, K, S, P, O } = sizes();
  const spec = { H, W, KH: K, KW: K, stride_h: S, stride_w: S, pad_h: P, pad_w: P, extra_h: O, extra_w: O };
  if (!limitRefusal() && !refusal(state.kind, spec))
    for (const name of ["x", "w", "dy"]) spec[name] = filled(name, shapeOf(state.kind, spec, name));
  return spec;
}

// What this page will not draw, though the kernels would.
function limitRefusal() {
  for (const name of shownControls()) {
    const [low, high] = DATA.limits[name], value = sizes()[name];
    if (!Number.isInteger(value) || value < low || value > high)
      return `${CONTROLS[name]}: need a whole number from ${low} to ${high} on this page.`;
  }
  return "";
}

function gridRefusal(spec) {
  const g = geometry(state.kind, spec);
  const padded = ["x with its padding", spec.H + 2 * spec.pad_h, spec.W + 2 * spec.pad_w];
  for (const [name, rows, columns] of [isTransposed() ? ["z", g.ZH, g.ZW] : padded, ["the output", g.OH, g.OW]])
    if (Math.max(rows, columns) > DATA.largest)
      return `${name}: need at most ${DATA.largest} x ${DATA.largest} to be drawn here, got ${rows} x ${columns}.`;
  return "";
}

function whyNot(spec) {
  const limit = limitRefusal();
  if (limit) return limit;
  const refused = refusal(state.kind, spec);
  return refused ? refused + "." : gridRefusal(spec);
}

function shownControls() {
  return Object.keys(CONTROLS).filter(name => name !== "O" || isTransposed());
}

function placeOf(index, columns) {
  return [Math.floor(index / columns), index % columns];
}

// Everything that the drawing needs of the current step.
function moment(spec) {
  const kind = state.kind, names = KINDS[kind];
  const outShape = shapeOf(kind, spec, names.out);
  const threads = outShape[0] * outShape[1];
  state.thread = clamp(state.thread, threads);
  const thread = placeOf(state.thread, outShape[1]);
  const taps = tapsOf(kind, spec, thread);
  state.tap = clamp(state.tap, taps.length);
  const now = taps[state.tap];
  return { kind, names, spec, g: geometry(kind, spec), outShape, threads, thread, taps, now };
}

function clamp(index, count) {
  return Math.max(0, Math.min(count - 1, index));
}

// Controls

function drawKinds() {
  byId("kinds").innerHTML = Object.entries(NAMES)
    .map(([kind, name]) => `<button data-kind="${kind}" aria-pressed="${kind === state.kind}">${name}</button>`)
    .join("");
}

function drawSizes() {
  const control = name => {
    const [low, high] = DATA.limits[name], label = CONTROLS[name];
    return `<div><label for="size-${name}">${label}</label><div class="stepper">
      <button type="button" data-size="${name}" data-by="-1" aria-label="${label}: one less">−</button>
      <input id="size-${name}" data-size="${name}" type="number" inputmode="numeric" min="${low}" max="${high}">
      <button type="button" data-size="${name}" data-by="1" aria-label="${label}: one more">+</button></div></div>`;
  };
  byId("sizes").innerHTML = shownControls().map(control).join("");
}

function drawValues() {
  for (const name of shownControls()) {
    const [low, high] = DATA.limits[name], value = sizes()[name], input = byId("size-" + name);
    if (document.activeElement !== input) input.value = Number.isInteger(value) ? value : "";
    const [less, more] = input.parentElement.querySelectorAll("button");
    less.disabled = value <= low;
    more.disabled = value >= high;
  }
}

// Shapes, worked out

function convolutionLine(name, side, size, s) {
  const rest = (size + 2 * s.P - s.K) % s.S, cut = (size + 2 * s.P - s.K) / s.S;
  const floor = rest ? ` = ⌊${cut.toFixed(2)}⌋ + 1` : "";
  return `${name} = ⌊(${side} + 2·pad − K) / stride⌋ + 1 = ⌊(${size} + ${2 * s.P} − ${s.K}) / ${s.S}⌋ + 1${floor} = `;
}

function transposedLine(name, side, size, s) {
  return (
    `${name} = stride·(${side} − 1) + K − 2·pad + output_padding = ` +
    `${s.S}·${size - 1} + ${s.K} − ${2 * s.P} + ${s.O} = `
  );
}

function drawShapes(spec) {
  const s = sizes(), line = isTransposed() ? transposedLine : convolutionLine;
  if (!Object.values(s).every(Number.isInteger) || s.S < 1) return (byId("shapes").innerHTML = "");
  const g = geometry(state.kind, spec);
  const bold = n => `<b>${signed(n)}</b>`;
  const lines = [line("OH", "H", s.H, s) + bold(g.OH), line("OW", "W", s.W, s) + bold(g.OW)];
  if (isTransposed()) lines.push(...zLines(s, g, bold));
  byId("shapes").innerHTML = lines.map(text => `<div class="mono">${text}</div>`).join("");
}

function zLines(s, g, bold) {
  const around = g.around_h < 0 ? ": below 0, so the edges are cut" : " zeros around";
  return [
    `p' = K − pad − 1 = ${s.K} − ${s.P} − 1 = ${bold(g.around_h)}${around}`,
    `z is (H − 1)·stride + 1 + 2·p' + output_padding = ${bold(g.ZH)} high, ${bold(g.ZW)} wide`,
  ];
}

// Grids

// A matrix with its indices. first: the index of its first row and column; look(r, c): [text, classes].
function grid(caption, [rows, columns], look, { first = [0, 0], at = null, cell = 34, target = "" } = {}) {
  const heads = Array.from({ length: columns }, (_, c) => index(c + first[1], at && at[1] === c + first[1]));
  let body = `<i class="index"></i>${heads.join("")}`;
  for (let r = 0; r < rows; r++) {
    body += index(r + first[0], at && at[0] === r + first[0]);
    for (let c = 0; c < columns; c++) {
      const [text, classes] = look(r + first[0], c + first[1]);
      body += `<div class="cell ${classes}"${target && ` data-${target}="${r * columns + c}"`}>${signed(text)}</div>`;
    }
  }
  const dense = columns > 12 ? " dense denser" : columns > 10 ? " dense" : "";
  return `<figure><figcaption>${caption}</figcaption>
    <div class="grid${dense}" style="--columns:${columns};--cell:${cell}px" aria-hidden="true">${body}</div></figure>`;
}

function index(number, on) {
  return `<i class="index${on ? " on" : ""}">${signed(number)}</i>`;
}

function size([rows, columns]) {
  return `${rows} × ${columns}`;
}

const same = (a, b) => a[0] === b[0] && a[1] === b[1];

// A factor's array: tinted where a tap of this thread uses it, strong where the current one does.
function factorGrid(m, side, padded = false) {
  const name = m.names[side], shape = shapeOf(m.kind, m.spec, name), values = m.spec[name];
  const edge = padded ? [m.spec.pad_h, m.spec.pad_w] : [0, 0];
  const whole = place => place.every(Number.isInteger);
  const look = (r, c) => {
    const isPad = !inside(r, shape[0]) || !inside(c, shape[1]);
    const used = m.taps.some(t => (t.ok || padded) && same(t[side], [r, c]));
    const current = same(m.now[side], [r, c]);
    const strong = current ? (m.now.ok ? ` ${side}-near` : " bad-near") : "";
    return [isPad ? 0 : values[r][c], (isPad ? "pad " : "") + (used ? side + "-far" : "") + strong];
  };
  const drawn = [shape[0] + 2 * edge[0], shape[1] + 2 * edge[1]];
  const caption = `<b class="${side}">${name}</b>, ${size(shape)}${padded && edge[0] ? ", and its padding" : ""}`;
  return grid(caption, drawn, look, { first: [-edge[0], -edge[1]], at: whole(m.now[side]) ? m.now[side] : null });
}

function outputGrid(m, values) {
  const look = (r, c) => {
    if (same([r, c], m.thread)) return [m.now.sum, "go out-near"];
    const alike = isTransposed() && same(phaseOf(m.spec, [r, c]), phaseOf(m.spec, m.thread));
    return [values[r][c], "go" + (alike ? " out-far" : "")];
  };
  const caption = `<b class="out">${m.names.out}</b>, ${size(m.outShape)}: a thread each`;
  return grid(caption, m.outShape, look, { at: m.thread, cell: 41, target: "thread" });
}

function boxed(title, inner, says) {
  return `<div class="panel boxed"><h2>${title}</h2><div class="inner">${inner}</div><p class="says">${says}</p></div>`;
}

// The grids of the three ways are smaller than those of one.
function wayGrid(caption, shape, look, at) {
  return grid(caption, shape, look, { at, cell: 28 });
}

function drawConvolution(m, values) {
  const padded = m.names.left === "x";
  byId("grids").className = "";
  byId("grids").innerHTML = factorGrid(m, "left", padded) + factorGrid(m, "right") + outputGrid(m, values);
}

function fourStepsPanel(m) {
  const z = zeroInsert(m.spec), w = turned(m.spec.w);
  const at = inZ(m.spec, m.g, m.thread, m.now.tap), [zh, zw] = at;
  const turnedAt = [zh - m.thread[0], zw - m.thread[1]];
  const why = { number: "", between: ": a zero put between the pixels", around: ": a zero put around" };
  const product = `${z[zh][zw]} · ${factor(w[turnedAt[0]][turnedAt[1]])} = ${signed(m.now.product)}`;
  return boxed(
    "Four steps: insert, pad, turn, convolve",
    wayGrid(`<b class="left">z</b>, ${size([m.g.ZH, m.g.ZW])}`, [m.g.ZH, m.g.ZW], lookAtZ(m, z, at), at) +
      wayGrid(`<b class="right">w</b>, turned`, filterShape(m.spec), lookAtTurned(w, turnedAt), turnedAt),
    `<span class="mono">z[${zh}, ${zw}] · turned[${turnedAt.join(", ")}] = ${product}</span>` +
      span("no", why[placeInZ(m.spec, zh, zw)]) +
      span("note", "<br>Turned: tap (0, 0) is the last cell. Here the three ways go by the tap.")
  );
}

function lookAtZ(m, z, at) {
  const inWindow = (r, c) => inside(r - m.thread[0], m.spec.KH) && inside(c - m.thread[1], m.spec.KW);
  return (r, c) => {
    const place = placeInZ(m.spec, r, c);
    const kind = { number: "", between: "between", around: "pad" }[place];
    const near = same([r, c], at) ? (place === "number" ? " left-near" : " bad-near") : "";
    return [z[r][c], kind + (inWindow(r, c) ? " left-far" : "") + near];
  };
}

function lookAtTurned(w, at) {
  return (r, c) => [w[r][c], "right-far" + (same([r, c], at) ? " right-near" : "")];
}

function filterShape(spec) {
  return [spec.KH, spec.KW];
}

// (place + pad - tap) / stride along one axis, and what it gives.
function division(m, axis) {
  const place = m.thread[axis], tap = m.now.tap[axis];
  const [pad, stride] = axis ? [m.spec.pad_w, m.spec.stride_w] : [m.spec.pad_h, m.spec.stride_h];
  return `(${place} + ${pad} − ${tap}) / ${stride} = ${quotient(place + pad - tap, stride)}`;
}

function quotient(top, stride) {
  return top % stride ? `${signed(top)}/${stride}` : signed(top / stride);
}

// Why a tap gives no product: of its row or, if that is there, of its column.
function reason(m) {
  const axis = m.now.why === "row" ? 0 : 1, place = m.now.left[axis];
  if (Number.isInteger(place)) return `${m.now.why} ${signed(place)} is outside ${m.names.left}`;
  const stride = axis ? m.spec.stride_w : m.spec.stride_h;
  return `${m.now.why} ${quotient(Math.round(place * stride), stride)} is not whole`;
}

function gatherPanel(m) {
  const [x, w] = m.now.factors;
  const found = `so x[${m.now.left.join(", ")}] · w[${m.now.tap.join(", ")}] = ${x} · ${factor(w)} = ${signed(x * w)}`;
  const look = lookAtTap(m, tap => m.taps[tap[0] * m.spec.KW + tap[1]].ok);
  return boxed(
    "Gather: test every tap",
    smallX(m) + wayGrid(`<b class="right">w</b>`, filterShape(m.spec), look, m.now.tap),
    `<span class="mono">${division(m, 0)}<br>${division(m, 1)}</span><br>` +
      (m.now.ok ? found : span("no", `${reason(m)}: skipped`))
  );
}

function phasesPanel(m) {
  const [a_h, a_w] = phaseOf(m.spec, m.thread);
  const ofPhase = tap => isOfPhase(m.spec, m.thread, tap);
  const not = ofPhase(m.now.tap) ? reason(m) : "never looked at";
  const says = m.now.ok ? "one of its taps: multiplied" : span("no", not);
  return boxed(
    `Phases: start at tap (${a_h}, ${a_w})`,
    smallX(m) + wayGrid(`<b class="right">w</b>, this phase`, filterShape(m.spec), lookAtTap(m, ofPhase), m.now.tap),
    `<span class="mono">kh = ${phaseTaps(a_h, m.spec.stride_h, m.spec.KH)}<br>` +
      `kw = ${phaseTaps(a_w, m.spec.stride_w, m.spec.KW)}</span><br>${says}`
  );
}

function phaseTaps(first, stride, kernel) {
  const taps = Array.from({ length: kernel }, (_, k) => k).filter(k => k >= first && (k - first) % stride === 0);
  return taps.join(", ") || "none: the filter ends before";
}

function lookAtTap(m, takesPart) {
  return (r, c) => {
    const part = takesPart([r, c]) ? "right-far" : "idle";
    return [m.spec.w[r][c], part + (same([r, c], m.now.tap) ? (m.now.ok ? " right-near" : " bad-near") : "")];
  };
}

function smallX(m) {
  const look = (r, c) => {
    const used = m.taps.some(t => t.ok && same(t.left, [r, c]));
    return [m.spec.x[r][c], (used ? "left-far" : "") + (m.now.ok && same(m.now.left, [r, c]) ? " left-near" : "")];
  };
  const shape = [m.spec.H, m.spec.W];
  return wayGrid(`<b class="left">x</b>, ${size(shape)}`, shape, look, m.now.ok ? m.now.left : null);
}

function drawTransposed(m, values) {
  const says = "Tinted: the threads of the same phase. They use the same taps.";
  byId("grids").className = "ways";
  byId("grids").innerHTML =
    fourStepsPanel(m) + gatherPanel(m) + phasesPanel(m) +
    boxed("The output, the same by all three", outputGrid(m, values), says);
}

// The formula, its numbers, its terms

const FORMULAS = {
  conv2d_forward: [["oh", "ow"], "oh·stride − pad + kh, ow·stride − pad + kw", "kh, kw", "kh, kw"],
  conv2d_backward_input: [["h", "w"], "(h + pad − kh) / stride, (w + pad − kw) / stride", "kh, kw", "kh, kw"],
  conv2d_backward_weight: [["kh", "kw"], "oh·stride − pad + kh, ow·stride − pad + kw", "oh, ow", "oh, ow"],
  conv_transpose2d_forward: [["oh", "ow"], "(oh + pad − kh) / stride, (ow + pad − kw) / stride", "kh, kw", "kh, kw"],
};

function symbolic(m) {
  const [thread, left, right, over] = FORMULAS[m.kind], lit = m.now.ok ? " lit" : "";
  const divides = m.kind === "conv2d_backward_input" || isTransposed();
  const note = divides ? "where both divisions are whole and land inside" : "outside the image x counts as 0";
  return (
    span("out lit", `${m.names.out}[${thread.join(", ")}]`) + " = Σ " +
    span("left" + lit, `${m.names.left}[${left}]`) + " · " + span("right" + lit, `${m.names.right}[${right}]`) +
    span("note", ` over ${over}; ${note}`)
  );
}

function substituted(m, axis) {
  const { spec } = m;
  const [stride, pad] = axis ? [spec.stride_w, spec.pad_w] : [spec.stride_h, spec.pad_h];
  if (m.kind === "conv2d_forward") return `${m.thread[axis]}·${stride} − ${pad} + ${m.now.tap[axis]}`;
  if (m.kind === "conv2d_backward_weight") return `${m.now.tap[axis]}·${stride} − ${pad} + ${m.thread[axis]}`;
  return `(${m.thread[axis]} + ${pad} − ${m.now.tap[axis]}) / ${stride}`;
}

function inNumbers(m) {
  const { factors, product, sum } = m.now;
  const at = (side, inner, lit) => span(side + lit, `${m.names[side]}[${inner}]`);
  const pixel = `${substituted(m, 0)}, ${substituted(m, 1)}`;
  const head = at("left", pixel, "") + " · " + at("right", m.now.right.join(", "), "");
  if (!m.now.ok) return `${head}: ${span("no", reason(m))}, no product; the sum stays ${span("out lit", signed(sum))}`;
  const places = at("left", m.now.left.join(", "), " lit") + " · " + at("right", m.now.right.join(", "), " lit");
  const numbers = span("left lit", factor(factors[0])) + " · " + span("right lit", factor(factors[1]));
  const added = `${signed(sum - product)} + ${factor(product)} = ${span("out lit", signed(sum))}`;
  return `${head} = ${places} = ${numbers} = ${signed(product)}; the sum: ${added}`;
}

function drawFormula(m) {
  const index = (names, values) => names.map((name, i) => `${name} = ${values[i]}`).join(", ");
  byId("symbols").innerHTML = symbolic(m);
  byId("now").innerHTML = `${index(m.names.thread, m.thread)}; ${index(m.names.tap, m.now.tap)}<br>${inNumbers(m)}`;
}

function drawTerms(m) {
  const term = (t, i) => {
    const text = t.ok ? `${factor(t.factors[0])}·${factor(t.factors[1])}` : "–";
    const classes = (t.ok ? "" : " none") + (i === state.tap ? " current" : i > state.tap ? " later" : "");
    const name = `tap ${i + 1}: ${t.ok ? `${t.factors[0]} times ${t.factors[1]}` : "no product"}`;
    return `<button class="term${classes}" data-tap="${i}" aria-label="${name}"
      tabindex="${i === state.tap ? 0 : -1}">${text}</button>`;
  };
  const last = m.taps.at(-1).sum, products = m.taps.filter(t => t.ok).length;
  byId("terms").innerHTML =
    `<h2>${span("out", `${m.names.out}[${m.thread.join(", ")}]`)} = ${signed(last)}: ${m.taps.length} taps,
      ${products} ${products === 1 ? "product" : "products"}</h2>
    <div class="list">${m.taps.map(term).join("")}</div>`;
}

function totals(m) {
  const all = { "four steps": [0, 0, 0], gather: [0, 0, 0], phases: [0, 0, 0] };
  for (let i = 0; i < m.threads; i++) {
    const thread = placeOf(i, m.outShape[1]);
    const counts = countWays(m.spec, thread, tapsOf(m.kind, m.spec, thread));
    for (const way of WAYS) counts[way].forEach((n, k) => (all[way][k] += n));
  }
  return all;
}

function drawCounts(m) {
  if (!isTransposed()) return (byId("counts").innerHTML = "");
  const soFar = countWays(m.spec, m.thread, m.taps.slice(0, state.tap + 1));
  byId("counts").innerHTML = `<h2>What each way has done</h2>
    <div>${countTable("This thread so far", soFar)}${countTable(`All ${m.threads} threads`, totals(m))}</div>`;
}

function countTable(caption, counts) {
  const row = way => `<tr><th>${way}</th>${counts[way].map(n => `<td>${n}</td>`).join("")}</tr>`;
  return `<table><caption>${caption}</caption>
    <tr><th></th><th>taps</th><th>products</th><th>with a zero</th></tr>${WAYS.map(row).join("")}</table>`;
}

// The kernels' lines

function codeOf(e, m) {
  const passedOver = e.title === "the phases" && !isOfPhase(m.spec, m.thread, m.now.tap);
  const on = passedOver ? [] : e.marked[m.now.why], lit = m.now.ok ? "on" : "on off";
  const line = (text, i) => span(on.includes(i) ? lit : "", safe(text) || " ");
  const last = e.line + e.text.length - 1;
  return `<p class="note">${e.file}, lines ${e.line} to ${last}: ${e.title}</p>
    <pre tabindex="0">${e.text.map(line).join("")}</pre>`;
}

function drawCode(m) {
  const open = byId("code").querySelector("details")?.open ?? innerWidth > 800;
  const shown = DATA.excerpts.filter(e => e.kind === m.kind).map(e => codeOf(e, m)).join("");
  byId("code").innerHTML = `<details${open ? " open" : ""}><summary>The kernel's own lines</summary>${shown}</details>`;
}

// The bar of steps

function drawBar() {
  const mover = (name, less, more) => `<div class="mover">
    <button data-move="${name}" data-by="-1" aria-label="previous ${name}">${less}</button><span id="at-${name}"></span>
    <button data-move="${name}" data-by="1" aria-label="next ${name}">${more}</button></div>`;
  byId("bar").innerHTML = mover("thread", "▲", "▼") + mover("tap", "◀", "▶") + `<button id="play">Play</button>`;
}

function drawPlace(m) {
  byId("at-thread").innerHTML = `thread ${state.thread}<br><b>${m.names.out}[${m.thread.join(", ")}]</b>`;
  byId("at-tap").innerHTML = `tap ${state.tap + 1} of ${m.taps.length}<br><b>[${m.now.tap.join(", ")}]</b>`;
  byId("play").textContent = playing ? "Pause" : "Play";
}

// All of it

// The drawing makes the sections anew; what had the focus in one of them has it again.
function draw() {
  const focused = document.activeElement, section = focused && focused.closest("section");
  const nth = section && [...section.querySelectorAll(FOCUSABLE)].indexOf(focused);
  drawAll();
  if (section && nth >= 0) section.querySelectorAll(FOCUSABLE)[nth]?.focus({ preventScroll: true });
}

function drawAll() {
  const spec = currentSpec(), refused = whyNot(spec);
  document.body.classList.toggle("refused", !!refused);
  byId("refusal").textContent = refused;
  drawValues();
  drawShapes(spec);
  keepPlace();
  if (refused) return stop();
  const m = moment(spec), values = compute(m.kind, spec).values;
  drawFormula(m);
  (isTransposed() ? drawTransposed : drawConvolution)(m, values);
  drawTerms(m);
  drawCounts(m);
  drawCode(m);
  drawPlace(m);
}

function drawControls() {
  drawKinds();
  drawSizes();
}

// Moves

// by steps from here; over a thread's last tap to the next thread's first. False at either end.
function moveTap(by) {
  const m = moment(currentSpec()), next = state.tap + by;
  if (inside(next, m.taps.length)) state.tap = next;
  else if (inside(state.thread + by, m.threads)) {
    state.thread += by;
    state.tap = by > 0 ? 0 : m.taps.length - 1;
  } else return false;
  draw();
  return true;
}

function moveThread(by) {
  const m = moment(currentSpec());
  if (!inside(state.thread + by, m.threads)) return;
  state.thread += by;
  state.tap = 0;
  draw();
}

function setSize(name, value) {
  sizes()[name] = value;
  draw();
}

// One more or less, and back into the limits from wherever a typed number was.
function stepSize(name, by) {
  const [low, high] = DATA.limits[name], value = sizes()[name];
  setSize(name, Number.isInteger(value) ? Math.max(low, Math.min(high, value + by)) : low);
}

function setKind(kind) {
  Object.assign(state, { kind, thread: 0, tap: 0 });
  drawControls();
  draw();
  byId("kinds").querySelector("[aria-pressed=true]").focus();
}

function stop() {
  clearInterval(playing);
  playing = null;
}

function togglePlay() {
  if (playing) stop();
  else playing = setInterval(() => moveTap(1) || (stop(), draw()), 700);
  draw();
}

// The address keeps the place: #conv2d_forward&H=5&...&thread=3&tap=2

function keepPlace() {
  const numbers = { ...sizes(), thread: state.thread, tap: state.tap };
  const hash = "#" + [state.kind, ...Object.entries(numbers).map(([name, n]) => `${name}=${n}`)].join("&");
  try { history.replaceState(null, "", hash); } catch { /* some viewers of files forbid it */ }
}

function findPlace() {
  const [kind, ...pairs] = location.hash.slice(1).split("&");
  if (kind in KINDS) state.kind = kind;
  for (const [name, text] of pairs.map(pair => pair.split("="))) {
    if (name in CONTROLS) sizes()[name] = parseInt(text, 10);
    if (name === "thread" || name === "tap") state[name] = parseInt(text, 10) || 0;
  }
}

// Events

function onClick(event) {
  const at = event.target.closest("button, [data-thread]"), d = at && at.dataset;
  if (!at || at.disabled) return;
  if (d.kind) setKind(d.kind);
  else if (d.by && d.size) stepSize(d.size, Number(d.by));
  else if (d.move === "tap") moveTap(Number(d.by));
  else if (d.move === "thread") moveThread(Number(d.by));
  else if (d.thread) (Object.assign(state, { thread: Number(d.thread), tap: 0 }), draw());
  else if (d.tap) ((state.tap = Number(d.tap)), draw());
  else if (at.id === "play") togglePlay();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  if (event.target.tagName === "PRE" && event.key.match(/Left|Right/)) return; // there they scroll
  if (document.body.classList.contains("refused")) return;
  const moves = {
    ArrowRight: () => moveTap(1),
    ArrowLeft: () => moveTap(-1),
    ArrowDown: () => moveThread(1),
    ArrowUp: () => moveThread(-1),
    Home: () => ((state.tap = 0), draw()),
    End: () => ((state.tap = Infinity), draw()),
  };
  if (!moves[event.key]) return;
  event.preventDefault();
  moves[event.key]();
}

function onInput(event) {
  const name = event.target.dataset.size;
  if (name) setSize(name, event.target.valueAsNumber);
}

function start() {
  findPlace();
  drawControls();
  drawBar();
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  document.addEventListener("input", onInput);
  byId("sizes").addEventListener("submit", event => event.preventDefault());
  addEventListener("hashchange", () => (findPlace(), drawControls(), draw()));
  const wrong = selfTest(DATA.cases);
  byId("tested").textContent = wrong.length
    ? `This page's arithmetic is wrong for ${wrong.join("; ")}.`
    : `Compared just now with what dcgan_cupy.reference says of ${DATA.cases.length} cases: equal.`;
  byId("tested").className = wrong.length ? "no" : "";
  draw();
}

window.compute = compute;
start();
