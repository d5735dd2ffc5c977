// What can be done with the page: choose a theme, sort tables, turn the circuit. Without scripts it reads as well.
"use strict";
(() => {
const root = document.documentElement;

// -- theme: the reader's own, light or dark; remembered where the browser lets a page do so
const theme = document.getElementById("theme");
const memory = (act) => { try { return act(window.localStorage); } catch { return null; } };
function wear(name) {
  if (name === "light" || name === "dark") root.dataset.theme = name;
  else delete root.dataset.theme;
  theme.value = root.dataset.theme || "system";
  document.dispatchEvent(new Event("themed"));
}
theme.addEventListener("change", () => {
  memory((store) => store.setItem("snakefold-theme", theme.value));
  wear(theme.value);
});
theme.closest("label").hidden = false;
wear(memory((store) => store.getItem("snakefold-theme")));

// -- colours: on a dark ground those that would not be seen are made lighter, up to a contrast of 3
const bytes = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
const ground = () => bytes(getComputedStyle(root).getPropertyValue("--card").trim());
function luminance(rgb) {
  const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function seen(rgb, back) {
  const below = luminance(back);
  let found = rgb;
  for (let white = 0; below < 0.2 && white < 1 && (luminance(found) + 0.05) / (below + 0.05) < 3; white += 0.05) {
    found = rgb.map((c) => Math.round(c + (255 - c) * white));
  }
  return found;
}
function tint() {
  for (const swatch of document.querySelectorAll(".swatch")) {
    swatch.dataset.c ??= swatch.style.getPropertyValue("--c").trim();
    swatch.style.setProperty("--c", `rgb(${seen(bytes(swatch.dataset.c), ground()).join()})`);
  }
}
document.addEventListener("themed", tint);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tint);
for (const event of ["beforeprint", "afterprint"]) addEventListener(event, tint);
tint();

// -- tables: a click on the head of a column sorts by it, a second one the other way round
function worth(cell) {
  const text = cell.textContent.trim();
  const number = parseFloat(text.replace(/[,+✓✗\s]/g, "").replace("−", "-"));
  return { text, number: cell.classList.contains("text") || cell.tagName === "TH" ? NaN : number };
}
function sort(table, column, head) {
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const rows = [...body.rows].map((row) => ({ row, key: worth(row.cells[Math.min(column, row.cells.length - 1)]) }));
  const order = (a, b) => {
    if (!isNaN(a.key.number) || !isNaN(b.key.number)) {
      if (isNaN(a.key.number)) return 1;
      if (isNaN(b.key.number)) return -1;
      return (a.key.number - b.key.number) * (down ? -1 : 1);
    }
    return a.key.text.localeCompare(b.key.text, "en", { numeric: true }) * (down ? -1 : 1);
  };
  body.append(...rows.sort(order).map((entry) => entry.row));
}
for (const table of document.querySelectorAll("table")) {
  if (table.tBodies[0].rows.length < 2) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, column, head));
  });
}

// -- the circuit: points with depth, drawn into the pixels of a canvas; every browser can, whatever its graphics card
const view = document.getElementById("view");
if (!view) return;
const canvas = view.querySelector("canvas");
const paint = canvas.getContext("2d");
if (!paint) return;
const said = document.getElementById("view-state");
const circuit = JSON.parse(view.dataset.cells);
const START = { turn: -35, tilt: 20, zoom: 1 };
const LOOKS = { front: [0, 0], side: [90, 0], top: [0, 90] };
const LARGEST_PX = 40;
const state = { ...START };

function points(text) {
  const found = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Uint16Array(found.buffer);
}
const size = circuit.size;
const reach = Math.hypot(...size) || 1;
const step = size.map((length) => length / 65535);
const types = circuit.types.map((type) => ({
  ...type,
  at: points(type.points),
  rgb: bytes(type.colour),
  shown: true,
}));

// A frame: x to the right, y up on the screen, z towards the reader, all um from the middle of the box.
function frame() {
  const [turn, tilt] = [state.turn, state.tilt].map((degrees) => degrees * Math.PI / 180);
  const [c, s, ct, st] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
  return [[c, s, 0], [-s * st, c * st, ct], [s * ct, -c * ct, st]];
}

// The pixels of a disc of a radius, four numbers each: offsets, how bright a ball is there, how far it stands out (px).
const discs = new Map();
function disc(radius) {
  const key = Math.round(radius * 2);
  if (!discs.has(key)) {
    const r = key / 2, found = [];
    for (let y = -Math.floor(r); y <= r; y++) for (let x = -Math.floor(r); x <= r; x++) {
      const left = r * r - x * x - y * y;
      if (left < 0) continue;
      const out = Math.sqrt(left);
      const light = r < 2 ? 1 : 0.62 + 0.38 * Math.max(0, (out * 0.8 - x * 0.35 - y * 0.48) / r);
      found.push(x, y, light, out);
    }
    discs.set(key, Float32Array.from(found));
  }
  return discs.get(key);
}

function draw() {
  const wide = Math.max(canvas.clientWidth, 50), dense = Math.min(window.devicePixelRatio || 1, 2);
  const high = Math.round(Math.min(wide * 0.72, Math.max(window.innerHeight * 0.6, 260)));
  canvas.style.height = `${high}px`;
  const [w, h] = [Math.round(wide * dense), Math.round(high * dense)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const style = getComputedStyle(root);
  const back = ground(), ink = style.getPropertyValue("--quiet").trim();
  const image = paint.createImageData(w, h);
  const pixels = new Uint32Array(image.data.buffer), depth = new Float32Array(w * h).fill(-Infinity);
  pixels.fill((255 << 24 | back[2] << 16 | back[1] << 8 | back[0]) >>> 0);
  const [right, up, near] = frame();
  const scale = Math.min(w, h) * 0.94 / reach * state.zoom;
  for (const type of types) {
    if (!type.shown) continue;
    const [r, g, b] = seen(type.rgb, back);
    const shape = disc(Math.min(Math.max(type.radius * scale, 0.9 * dense), LARGEST_PX * dense));
    for (let i = 0; i < type.at.length; i += 3) {
      const x = type.at[i] * step[0] - size[0] / 2, y = type.at[i + 1] * step[1] - size[1] / 2;
      const z = type.at[i + 2] * step[2] - size[2] / 2;
      const px = Math.round(w / 2 + (right[0] * x + right[1] * y + right[2] * z) * scale);
      const py = Math.round(h / 2 - (up[0] * x + up[1] * y + up[2] * z) * scale);
      if (px < -LARGEST_PX * 2 || py < -LARGEST_PX * 2 || px > w + LARGEST_PX * 2 || py > h + LARGEST_PX * 2) continue;
      const far = near[0] * x + near[1] * y + near[2] * z;
      const clear = 0.72 + 0.28 * (far / reach + 0.5);  // what is far fades into the ground
      const faded = 1 - clear, before = far * scale;
      for (let k = 0; k < shape.length; k += 4) {
        const u = px + shape[k], v = py + shape[k + 1];
        if (u < 0 || v < 0 || u >= w || v >= h) continue;
        const at = v * w + u, stands = before + shape[k + 3];
        if (stands <= depth[at]) continue;
        depth[at] = stands;
        const bright = shape[k + 2] * clear;
        pixels[at] = 255 << 24 | (b * bright + back[2] * faded) << 16 | (g * bright + back[1] * faded) << 8
          | (r * bright + back[0] * faded);
      }
    }
  }
  paint.putImageData(image, 0, 0);
  box(right, up, near, scale, w, h, dense, ink);
  ruler(scale, w, h, dense, ink);
  tell();
}

function box(right, up, near, scale, w, h, dense, ink) {
  const at = (corner) => {
    const p = corner.map((c, i) => (c - 0.5) * size[i]);
    const along = (axis) => axis[0] * p[0] + axis[1] * p[1] + axis[2] * p[2];
    return [w / 2 + along(right) * scale, h / 2 - along(up) * scale];
  };
  paint.strokeStyle = paint.fillStyle = ink;
  paint.lineWidth = dense;
  paint.font = `${12 * dense}px system-ui, sans-serif`;
  paint.textAlign = "center";
  for (let axis = 0; axis < 3; axis++) for (const a of [0, 1]) for (const b of [0, 1]) {
    const [from, to] = [0, 1].map((end) => {
      const corner = [0, 0, 0];
      corner[axis] = end;
      corner[(axis + 1) % 3] = a;
      corner[(axis + 2) % 3] = b;
      return at(corner);
    });
    paint.globalAlpha = a || b ? 0.35 : 1;
    paint.beginPath();
    paint.moveTo(...from);
    paint.lineTo(...to);
    paint.stroke();
    if (a || b || Math.hypot(to[0] - from[0], to[1] - from[1]) < 12 * dense) continue;
    paint.fillText("xyz"[axis], to[0] + (to[0] - from[0]) * 0.03, to[1] + (to[1] - from[1]) * 0.03 + 4 * dense);
  }
  paint.globalAlpha = 1;
}

function ruler(scale, w, h, dense, ink) {
  const aim = w * 0.22 / scale, ten = 10 ** Math.floor(Math.log10(aim));
  const length = [5, 2, 1].map((n) => n * ten).find((n) => n <= aim);
  const [x, y] = [14 * dense, h - 14 * dense];
  paint.fillStyle = ink;
  paint.fillRect(x, y, length * scale, 2 * dense);
  paint.textAlign = "left";
  paint.fillText(`${length.toLocaleString("en")} µm`, x, y - 6 * dense);
}

function tell() {
  const shown = types.filter((type) => type.shown).map((type) => type.name);
  const turn = ((Math.round(state.turn) % 360) + 360) % 360;
  said.textContent = `Turned by ${turn}°, seen from ${Math.round(state.tilt)}° above, zoom ${state.zoom.toFixed(1)}. ` +
    `Shown: ${shown.length ? shown.join(", ") : "none"}.`;
}

let asked = false;
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => { asked = false; draw(); });
}
function turn(by, up) {
  state.turn += by;
  state.tilt = Math.max(-90, Math.min(90, state.tilt + up));
  redraw();
}
function zoom(factor) {
  state.zoom = Math.max(0.3, Math.min(40, state.zoom * factor));
  redraw();
}
const ACTIONS = {
  reset: () => { Object.assign(state, START); redraw(); },
  closer: () => zoom(1.25),
  away: () => zoom(0.8),
  left: () => turn(15, 0),
  right: () => turn(-15, 0),
};
for (const [name, [by, above]] of Object.entries(LOOKS)) {
  ACTIONS[name] = () => { Object.assign(state, { turn: by, tilt: above }); redraw(); };
}
const KEYS = {
  ArrowLeft: () => turn(5, 0), ArrowRight: () => turn(-5, 0), ArrowUp: () => turn(0, 5), ArrowDown: () => turn(0, -5),
  "+": ACTIONS.closer, "=": ACTIONS.closer, "-": ACTIONS.away, 0: ACTIONS.reset, Home: ACTIONS.reset,
};
for (const button of view.querySelectorAll("[data-do]")) button.addEventListener("click", ACTIONS[button.dataset.do]);
for (const tick of view.querySelectorAll("[data-type]")) {
  tick.addEventListener("change", () => { types[Number(tick.dataset.type)].shown = tick.checked; redraw(); });
  types[Number(tick.dataset.type)].shown = tick.checked;  // a browser keeps ticks when a page is loaded again
}
canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

const fingers = new Map();
const spread = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.x - b.x, a.y - b.y) || 1; };
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
});
canvas.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const apart = fingers.size === 2 ? spread() : 0;
  fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  if (fingers.size === 2) zoom(spread() / apart);
  else turn((before.x - event.clientX) * 0.4, (event.clientY - before.y) * 0.4);
});
for (const end of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
}
canvas.addEventListener("wheel", (event) => {  // a page that is scrolled past stays a page that is scrolled past
  if (document.activeElement !== canvas && !event.ctrlKey) return;
  event.preventDefault();
  zoom(Math.exp(-event.deltaY / 500));
}, { passive: false });
document.addEventListener("themed", redraw);
for (const event of ["beforeprint", "afterprint"]) addEventListener(event, draw);  // on paper as on a light ground
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
new ResizeObserver(redraw).observe(view);
view.hidden = false;
draw();
})();
