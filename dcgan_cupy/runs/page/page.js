"use strict";
// The drawing: one state, and one function that draws all of it, at most once a frame.

const byId = id => document.getElementById(id);
const FACTS = JSON.parse(byId("facts").textContent);
const [HEIGHT, WIDTH, COLOURS] = FACTS.size;
const SPREAD = FACTS.prior === "normal" ? 1 : Math.sqrt(1 / 3); // the standard deviation of a number of z
const SHOWN = 64, ACROSS = 8; // channels at a time, and in a row
const WALK_MS = 3000; // from one face to the next
const WARM_MS = 100; // a browser makes fast code of a module while it runs: so long the first image is drawn again
const MOST_SEED = 2 ** 53 - 1;
const dark = "#0d1117", accent = "#79bcff", crossed = "#ff8a80";

const state = {
  a: 0, b: 1, t: 0, label: 0,
  narrow: 1, along: FACTS.directions.map(() => 0), own: new Float32Array(FACTS.z.count), bar: 0,
  layer: 2, channel: 0, off: {},
};
let machine, ends, z, times, waiting = false, walking = 0, average = 0, spent = 0;

const signed = (v, digits = 2) => v.toFixed(digits).replace("-", "−");
const clamp = (v, low, high) => Math.min(high, Math.max(low, v));
const seed = () => Math.floor(Math.random() * 10000);

// What is drawn: the image and its channels

function pixels({ shape: [h, w, c], values }) {
  const made = new ImageData(w, h);
  for (let i = 0; i < h * w; i++) {
    for (let k = 0; k < 3; k++) made.data[4 * i + k] = Math.round((values[i * c + (c === 3 ? k : 0)] + 1) * 127.5);
    made.data[4 * i + 3] = 255;
  }
  return made;
}

function paint(canvas, made) {
  canvas.width = made.width;
  canvas.height = made.height;
  canvas.getContext("2d").putImageData(made, 0, 0);
}

// One channel as a map: orange above 0, blue below, the stronger the nearer to `most`.
function mapOf({ shape: [h, w, c], values }, channel, most) {
  const made = new ImageData(w, h), bytes = made.data;
  for (let i = 0; i < h * w; i++) {
    const v = values[i * c + channel] / most, strength = Math.sqrt(Math.abs(v));
    bytes[4 * i] = strength * (v > 0 ? 255 : 87);
    bytes[4 * i + 1] = strength * 166;
    bytes[4 * i + 2] = strength * (v > 0 ? 87 : 255);
    bytes[4 * i + 3] = 255;
  }
  return made;
}

// Where a page of channels lies on its canvas.
function gridOf([h, w, c]) {
  const first = Math.floor(state.channel / SHOWN) * SHOWN, count = Math.min(SHOWN, c - first);
  const scale = Math.max(1, Math.floor(64 / Math.max(h, w))), gap = Math.max(2, Math.round((scale * w) / 24));
  const columns = Math.min(ACROSS, count), cell = [h * scale + gap, w * scale + gap];
  return { first, count, scale, gap, columns, cell, rows: Math.ceil(count / columns) };
}

function drawChannels() {
  const made = machine.made(state.layer), [h, w] = made.shape, g = gridOf(made.shape);
  const most = made.values.reduce((m, v) => Math.max(m, Math.abs(v)), 0) || 1;
  const canvas = byId("channels"), off = state.off[state.layer] || new Set();
  canvas.width = g.columns * g.cell[1] + g.gap;
  canvas.height = g.rows * g.cell[0] + g.gap;
  const pen = canvas.getContext("2d"), one = new OffscreenCanvas(w, h);
  pen.fillStyle = dark;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = false;
  pen.lineWidth = g.gap;
  for (let i = 0; i < g.count; i++) {
    const x = g.gap + (i % g.columns) * g.cell[1], y = g.gap + Math.floor(i / g.columns) * g.cell[0];
    const width = w * g.scale, height = h * g.scale, channel = g.first + i;
    one.getContext("2d").putImageData(mapOf(made, channel, most), 0, 0);
    pen.drawImage(one, x, y, width, height);
    if (off.has(channel)) cross(pen, x, y, width, height);
    if (channel !== state.channel) continue;
    pen.strokeStyle = accent;
    pen.strokeRect(x - g.gap / 2, y - g.gap / 2, width + g.gap, height + g.gap);
  }
  drawChannelText(made, off, most);
}

function cross(pen, x, y, width, height) {
  pen.strokeStyle = crossed;
  pen.beginPath();
  pen.moveTo(x, y);
  pen.lineTo(x + width, y + height);
  pen.moveTo(x + width, y);
  pen.lineTo(x, y + height);
  pen.stroke();
}

function drawChannelText({ shape: [h, w, c], values }, off, most) {
  let low = Infinity, high = -Infinity;
  for (let i = state.channel; i < h * w * c; i += c) {
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
  }
  const range = `${signed(low)} to ${signed(high)}`;
  byId("at-channel").textContent = off.has(state.channel)
    ? `channel ${state.channel} of ${c}: set to 0`
    : `channel ${state.channel} of ${c}: ${range}; the layer's largest is ${signed(most)}`;
  byId("off").setAttribute("aria-pressed", off.has(state.channel));
  byId("all-on").disabled = Object.values(state.off).every(set => !set.size);
}

function drawLayer() {
  const stage = FACTS.stages[state.layer];
  byId("layer").value = state.layer;
  byId("layer-less").disabled = state.layer === 0;
  byId("layer-more").disabled = state.layer === FACTS.stages.length - 1;
  byId("launch").textContent = stage.launches.map(launchText).join("\n") + `: ${times[state.layer].toFixed(2)} ms`;
  const file = FACTS.files[stage.launches.at(-1)[0]], text = byId("text").querySelector("pre");
  if (text.dataset.file === file) return;
  text.dataset.file = file;
  text.textContent = FACTS.texts[file];
}

function launchText([kernel, gx, gy, gz, bx, by, bz]) {
  const extent = (...sizes) => (sizes[1] * sizes[2] > 1 ? `(${sizes.join(", ")})` : sizes[0]);
  return `${kernel}<<<${extent(gx, gy, gz)}, ${extent(bx, by, bz)}>>>  ${FACTS.files[kernel]}`;
}

// The latent vector

function drawBars() {
  const canvas = byId("bars"), pen = canvas.getContext("2d"), scale = devicePixelRatio || 1;
  const width = (canvas.width = canvas.clientWidth * scale), height = (canvas.height = canvas.clientHeight * scale);
  const most = z.reduce((m, v) => Math.max(m, Math.abs(v)), 3 * SPREAD), each = width / z.length;
  const colours = getComputedStyle(document.documentElement);
  z.forEach((v, i) => {
    pen.fillStyle = colours.getPropertyValue(i === state.bar ? "--bad" : "--accent");
    const top = (height / 2) * (1 - Math.max(0, v) / most), long = Math.max(scale, (Math.abs(v) / most) * (height / 2));
    pen.fillRect(i * each, top, Math.max(1, each * 0.75), long);
  });
  byId("bar").value = z[state.bar];
  byId("at-bar").querySelector("output").textContent = `z[${state.bar}] = ${signed(z[state.bar])}`;
}

function drawSliders() {
  state.along.forEach((v, k) => {
    byId(`along-${k}`).value = v / SPREAD;
    byId(`along-${k}-at`).textContent = signed(v / SPREAD, 1);
  });
  byId("narrow").value = state.narrow;
  byId("narrow-at").textContent = signed(state.narrow);
  byId("t").value = state.t;
  byId("at-t").textContent = `${Math.round(state.t / 10)} %`;
  byId("back").disabled = state.narrow === 1 && !state.along.some(Boolean) && !state.own.some(Boolean);
  for (const name of ["a", "b", "bar", "channel"]) {
    const input = byId("at-" + name + "-number");
    if (document.activeElement !== input) input.value = state[name];
  }
}

// All of it

function ready() {
  if (ends && ends.key === [state.a, state.b, state.label].join()) return;
  const [a, b] = [state.a, state.b].map(n => machine.drawn(n));
  ends = { key: [state.a, state.b, state.label].join(), a, b };
  for (const name of ["a", "b"]) {
    machine.run(ends[name], state.label);
    paint(byId("face-" + name), pixels(machine.image()));
  }
}

function draw() {
  waiting = false;
  ready();
  z = moved(between(ends.a, ends.b, state.t / 1000, FACTS.prior), state, FACTS.directions);
  times = machine.run(z, state.label, state.off, () => performance.now());
  const all = times.reduce((sum, ms) => sum + ms, 0);
  average = average ? 0.8 * average + 0.2 * all : all;
  paint(byId("image"), pixels(machine.image()));
  drawSliders();
  drawBars();
  drawLayer();
  drawChannels();
  drawAbout();
  keepPlace();
  spent += all;
  if (all && spent < WARM_MS) changed();
}

function drawAbout() {
  const launches = FACTS.stages.reduce((sum, stage) => sum + stage.launches.length, 0);
  const rounded = FACTS.half ? ` Weights are float16: images within ${FACTS.half.toPrecision(1)} of float32's.` : "";
  byId("about").textContent = `${FACTS.source}: ${WIDTH} x ${HEIGHT} px${COLOURS === 1 ? ", grey" : ""}. ${launches} `
    + `launches of ${Object.keys(FACTS.types).length - 1} CUDA kernels, as WebAssembly in this browser: `
    + `${average.toFixed(1)} ms an image.${rounded}`;
}

function changed(change = {}) {
  Object.assign(state, change);
  if (!waiting) requestAnimationFrame(draw);
  waiting = true;
}

// Controls

function stepper(label, name, most) {
  return `<label for="at-${name}-number">${label}</label><div class="stepper">
    <button data-step="${name}" data-by="-1" aria-label="${label}: one less">−</button>
    <input id="at-${name}-number" data-number="${name}" type="number" inputmode="numeric" min="0" max="${most}">
    <button data-step="${name}" data-by="1" aria-label="${label}: one more">+</button></div>`;
}

function range(id, label, low, high) {
  return `<label>${label} <output id="${id}-at"></output>
    <input id="${id}" type="range" min="${low}" max="${high}" step="0.05"></label>`;
}

function drawControls() {
  const seedOf = n => `<div>${stepper(`seed ${n.toUpperCase()}`, n, MOST_SEED)}</div>`;
  byId("seeds").innerHTML = seedOf("a") + seedOf("b");
  const percent = k => `${(100 * FACTS.shares[k]).toFixed(1)} %`;
  byId("sliders").innerHTML = range("narrow", "all of z (truncation)", 0, 1.5)
    + FACTS.directions.map((_, k) => range(`along-${k}`, `direction ${k + 1}, ${percent(k)}`, -6, 6)).join("");
  byId("which-bar").innerHTML = stepper("which one", "bar", FACTS.z.count - 1);
  byId("which-channel").innerHTML = stepper("channel", "channel", 1);
  byId("bar").min = -4 * SPREAD;
  byId("bar").max = 4 * SPREAD;
  byId("z-count").textContent = FACTS.z.count;
  options(byId("layer"), FACTS.stages.map(({ name, shape }, i) => `${i + 1}  ${name}: ${shape.join(" x ")}`));
  if (!FACTS.classes.length) return;
  byId("of-class").textContent = " --class NAME";
  byId("classes").innerHTML = `<h2>Class</h2><select id="class" aria-label="class"></select>`;
  options(byId("class"), FACTS.classes);
}

// Names come from outside: they are set as text.
function options(select, names) {
  select.replaceChildren(...names.map((name, i) => new Option(name, i)));
}

function most(name) {
  return { a: MOST_SEED, b: MOST_SEED, bar: FACTS.z.count - 1, channel: FACTS.stages[state.layer].shape[2] - 1 }[name];
}

function setNumber(name, value) {
  if (Number.isInteger(value)) changed({ [name]: clamp(value, 0, most(name)) });
}

function setLayer(number) {
  state.layer = clamp(number, 0, FACTS.stages.length - 1);
  byId("at-channel-number").max = most("channel");
  changed({ channel: clamp(state.channel, 0, most("channel")) });
}

function toggle(channel) {
  const set = (state.off[state.layer] ||= new Set());
  if (!set.delete(channel)) set.add(channel);
  changed({ channel });
}

function newFaces() {
  changed({ a: seed(), b: seed(), t: 0 });
}

function allBack() {
  state.own.fill(0);
  state.along.fill(0);
  changed({ narrow: 1 });
}

// The walk: from A to B, then on from B to a new face, and so on.
function walk(now) {
  if (!walking) return;
  const t = state.t + (1000 * Math.min(100, now - walking)) / WALK_MS;
  walking = now;
  changed(t < 1000 ? { t } : { t: 0, a: state.b, b: seed() });
  requestAnimationFrame(walk);
}

function toggleWalk() {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  walking = walking ? 0 : performance.now();
  byId("play").textContent = walking ? "Stop" : "Walk";
  byId("play").setAttribute("aria-pressed", !!walking);
  if (walking) requestAnimationFrame(walk);
}

// The address keeps the place: #a=0&b=1&t=300&layer=2&channel=0&label=0

const KEPT = ["a", "b", "t", "layer", "channel", "label"];

function keepPlace() {
  const hash = "#" + KEPT.map(name => `${name}=${Math.round(state[name])}`).join("&");
  try { if (!walking) history.replaceState(null, "", hash); } catch { /* some viewers of files forbid it */ }
}

function findPlace() {
  const given = new URLSearchParams(location.hash.slice(1));
  const limits = { t: 1000, layer: FACTS.stages.length - 1, label: Math.max(0, FACTS.classes.length - 1) };
  for (const name of KEPT) {
    const value = Number.parseInt(given.get(name), 10);
    if (Number.isInteger(value)) state[name] = clamp(value, 0, limits[name] ?? most(name));
  }
  state.channel = clamp(state.channel, 0, most("channel"));
}

// Events

function onClick(event) {
  const at = event.target.closest("button, canvas"), d = at && at.dataset;
  if (!at || at.disabled) return;
  if (d.step) setNumber(d.step, state[d.step] + Number(d.by));
  else ({ new: newFaces, play: toggleWalk, back: allBack, channels: onChannels, bars: onBars,
    off: () => toggle(state.channel), "all-on": () => changed({ off: {} }),
    "layer-less": () => setLayer(state.layer - 1), "layer-more": () => setLayer(state.layer + 1) }[at.id]?.(event));
}

function onBars(event) {
  const box = byId("bars").getBoundingClientRect();
  setNumber("bar", Math.floor(((event.clientX - box.left) / box.width) * FACTS.z.count));
}

function onChannels(event) {
  const canvas = byId("channels"), box = canvas.getBoundingClientRect(), g = gridOf(FACTS.stages[state.layer].shape);
  const x = ((event.clientX - box.left) / box.width) * canvas.width - g.gap / 2;
  const y = ((event.clientY - box.top) / box.height) * canvas.height - g.gap / 2;
  const row = clamp(Math.floor(y / g.cell[0]), 0, g.rows - 1);
  const column = clamp(Math.floor(x / g.cell[1]), 0, g.columns - 1);
  const i = row * g.columns + column;
  if (i < g.count) toggle(g.first + i);
}

function onInput(event) {
  const { id, dataset, value, valueAsNumber } = event.target;
  if (dataset.number) setNumber(dataset.number, valueAsNumber);
  else if (id === "layer") setLayer(Number(value));
  else if (id === "class") changed({ label: Number(value) });
  else if (id === "t" || id === "narrow") changed({ [id]: valueAsNumber });
  else if (id === "bar") (state.own[state.bar] += valueAsNumber - z[state.bar]), changed();
  else if (id.startsWith("along-")) (state.along[Number(id.slice(6))] = valueAsNumber * SPREAD), changed();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("select, input:not([type=range])")) return; // there they are typed
  ({ n: newFaces, w: toggleWalk, 0: allBack }[event.key]?.());
}

// Start

function drawTested(difference) {
  const good = difference <= 1e-5; // false for what is no number
  byId("tested").className = good ? "" : "bad";
  byId("tested").textContent = good
    ? `Compared just now with what the ${FACTS.check.device.toUpperCase()} device drew of seed 0, at `
      + `${FACTS.check.places.length} places: largest difference ${difference.toExponential(0)}.`
    : `This browser draws seed 0 otherwise than the device that made the page: a difference of ${difference}.`;
}

async function start() {
  const { instance } = await WebAssembly.instantiate(bytesOf(byId("module").textContent));
  machine = new Machine(FACTS, instance.exports, bytesOf(byId("weights").textContent));
  byId("module").remove();
  byId("weights").remove();
  drawTested(machine.difference());
  drawControls();
  findPlace();
  setLayer(state.layer);
  if (FACTS.classes.length) byId("class").value = state.label;
  document.addEventListener("click", onClick);
  document.addEventListener("input", onInput);
  document.addEventListener("keydown", onKey);
  addEventListener("resize", () => changed());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => changed());
}

start().catch(error => {
  document.body.classList.add("refused");
  byId("refusal").textContent =
    `This page needs a browser with WebAssembly's 128-bit vectors (of 2023 or newer), got: ${error.message}`;
});
