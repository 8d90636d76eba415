// The form: what it shows, and which fields it sends. A setting left at its default is not sent.
import { thumbnail } from "./backend.js";
import { at, tile } from "./page.js";

let defaults = { detail: 0.75, color: 0 };
let isRandom = false;

const chosen = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;
const percent = (value) => `${Math.round(value * 100)}%`;
const scale = () => 2 ** at("scale").value;
const SHARES = ["detail", "color"]; // of the photo, that come back
const NOISE_STEPS = 4; // the noise belongs to the later of several steps
const VARIANT_NOISE = 0.3;

// Returns { name: value } of what the API shall get.
export function fields() {
  const sent = {};
  const [a, b] = [chosen("style"), chosen("style2")];
  const share = at("share").value / 100;
  if (at("blend").checked && a !== b) sent.blend = JSON.stringify({ [a]: 1 - share, [b]: share });
  else sent.style = a;
  if (Number(at("strength").value) !== 1) sent.strength = at("strength").value;
  if (at("keep").checked) sent.preserve_color = true;
  if (Number(at("scale").value) !== 0) sent.style_scale = scale().toFixed(4);
  if (at("canvas").value) sent.canvas = at("canvas").value;
  for (const id of SHARES) if (Math.abs(at(id).value - defaults[id]) > 0.001) sent[id] = at(id).value;
  if (Number(at("refine").value) !== 0) sent.refine = at("refine").value;
  if (Number(at("repulsion").value) !== 0) sent.repulsion = at("repulsion").value;
  if (at("source").value) sent.source_style = at("source").value;
  if (at("side").value) sent.max_side = at("side").value;
  if (Number(at("noise").value) !== 0) {
    sent.temperature_lambda = at("noise").value;
    sent.num_steps = Math.max(NOISE_STEPS, defaults.num_steps || 1);
  }
  if (Number(at("seed").value) !== 0) sent.seed = at("seed").value;
  return sent;
}

// A short description of a painting, and the style's name for its file.
export function describe(sent) {
  const parts = sent.blend ? Object.entries(JSON.parse(sent.blend)).map(([name, share]) => `${name} ${percent(share)}`) : [sent.style];
  const words = [parts.join(" + ")];
  if (sent.strength) words.push(`strength ${percent(sent.strength)}`);
  if (sent.preserve_color) words.push("own colours");
  if (sent.style_scale) words.push(`brush ${Number(sent.style_scale).toFixed(1)}×`);
  if (sent.canvas) words.push(sent.canvas === "0" ? "exact size" : `canvas ${sent.canvas} px`);
  if (sent.detail) words.push(`detail ${percent(sent.detail)}`);
  if (sent.color) words.push(`photo's colours ${percent(sent.color)}`);
  if (sent.refine) words.push(`refined ${sent.refine}×`);
  if (sent.repulsion) words.push(`away ${sent.repulsion}`);
  if (sent.source_style) words.push(`from ${sent.source_style}`);
  if (sent.max_side) words.push(`${sent.max_side} px`);
  if (sent.temperature_lambda) words.push(`variation ${percent(sent.temperature_lambda)}`);
  if (sent.seed) words.push(`seed ${sent.seed}`);
  const style = sent.blend ? Object.keys(JSON.parse(sent.blend)).join("+") : sent.style;
  return { label: words.join(", "), style };
}

function show() {
  at("second").hidden = !at("blend").checked;
  at("share-out").textContent = `${at("share").value}%`;
  at("strength-out").textContent = percent(at("strength").value);
  at("scale-out").textContent = `${scale().toFixed(1)}×`;
  for (const id of SHARES) at(`${id}-out`).textContent = percent(at(id).value);
  at("refine-out").textContent = at("refine").value === "0" ? "off" : at("refine").value;
  at("repulsion-out").textContent = at("repulsion").value === "0" ? "off" : at("repulsion").value;
  at("noise-out").textContent = at("noise").value === "0" ? "off" : percent(at("noise").value);
  for (const id of ["share", "strength", "scale", ...SHARES, "refine", "repulsion", "noise"]) at(id).setAttribute("aria-valuetext", at(`${id}-out`).textContent);
  const matters = isRandom || at("noise").value !== "0";
  at("seed").disabled = at("dice").disabled = !matters;
  const { style, blend, strength, preserve_color, num_steps, ...more } = fields();
  const number = Object.keys(more).length;
  at("changed").textContent = number ? `${number} changed` : "";
  at("reset").disabled = !number && !strength && !preserve_color && !blend && !at("blend").checked;
}
const shuffle = () => { at("seed").value = 1 + Math.floor(Math.random() * 999998); };
// Let chance paint the next picture differently.
export function vary() {
  if (!isRandom && at("noise").value === "0") at("noise").value = VARIANT_NOISE;
  shuffle();
  show();
}
// The settings that the next painting would have are not those of the default ones any more.
export function reset() {
  for (const [id, value] of Object.entries({ share: 50, strength: 1, scale: 0, canvas: "", refine: 0, repulsion: 0, source: "", side: "", noise: 0, seed: 0 })) at(id).value = value;
  for (const id of SHARES) at(id).value = defaults[id];
  at("blend").checked = at("keep").checked = false;
  show();
}

export function fill(health, styles) {
  defaults = health.defaults;
  isRandom = health.is_random;
  at("chance").hidden = isRandom;
  at("refining").hidden = defaults.refine === undefined; // whoever paints does not
  if (defaults.canvas) at("canvas").options[0].text = `auto, ${defaults.canvas} px`;
  const step = 1e-4; // the model's own value must be on the grid
  for (const id of SHARES) if (Math.abs(defaults[id] * 20 - Math.round(defaults[id] * 20)) > step) at(id).step = "any";
  const painted = styles.filter((style) => style.is_painted);
  [["styles", "style", 0], ["styles2", "style2", Math.min(1, painted.length - 1)]].forEach(([place, name, first]) => {
    at(place).replaceChildren(...painted.map((style, index) => tile(name, style.name, style.name, thumbnail(style), index === first)));
  });
  at("source").append(...styles.filter((style) => !style.is_added).map((style) => new Option(style.name, style.name)));
  reset();
}
at("controls").addEventListener("input", show);
at("dice").addEventListener("click", () => { shuffle(); show(); });
at("reset").addEventListener("click", () => { reset(); at("more").querySelector("summary").focus(); });
