import { Mask } from "./mask.js";

const at = (id) => document.getElementById(id);
const GONE = "The server does not answer. Is lgt serve still running? Start it again, then try once more.";
let limits = { max_pixels: 4194304, max_upload_bytes: 20e6 };
let photo = null; // { blob, name, width, height }
let job = null; // id of the job at work
let events = null;
let number = 0; // of the latest run; a late answer to an older one is dropped

const cursor = document.createElement("span");
cursor.id = "cursor";
cursor.hidden = true;
at("frame").append(cursor);
const mask = new Mask(at("mask"), {
  draw: at("draw"), erase: at("erase"), clear: at("clear"), invert: at("invert"), size: at("size"), cursor,
});

function complain(text) {
  at("alert").hidden = !text;
  at("alert").firstElementChild.textContent = text || "";
}
at("alert").lastElementChild.addEventListener("click", () => complain(""));

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error(GONE);
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  const wait = answer.headers.get("Retry-After");
  if (body.code === "queue_full") throw new Error(`The server is busy: its queue is full. Try again in ${wait} seconds.`);
  throw new Error(body.detail || `The server refused (${answer.status}).`);
}

// Theme
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  at("theme").textContent = name === "dark" ? "Light" : "Dark";
  at("theme").setAttribute("aria-label", `Change to ${name === "dark" ? "light" : "dark"} colours`);
}
const system = matchMedia("(prefers-color-scheme: dark)");
const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
setTheme(stored() || (system.matches ? "dark" : "light"));
system.addEventListener("change", () => stored() || setTheme(system.matches ? "dark" : "light"));
at("theme").addEventListener("click", () => {
  const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(name);
  try { localStorage.setItem("theme", name); } catch { /* private window */ }
});

// Photo
async function load(blob, name) {
  complain("");
  let picture;
  try {
    picture = await createImageBitmap(blob);
  } catch {
    return complain(`${name}: this is not a picture that can be read. Use a JPEG, PNG or WebP file.`);
  }
  let { width, height } = picture;
  const scale = Math.sqrt(limits.max_pixels / (width * height));
  if (scale < 1 || blob.size > limits.max_upload_bytes) {
    width = Math.floor(width * Math.min(scale, 1));
    height = Math.floor(height * Math.min(scale, 1));
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, width, height);
    blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
    if (!blob || blob.size > limits.max_upload_bytes) return complain(`${name} is too large for this server. Make it smaller first.`);
    say(`The photo was reduced to ${width} × ${height}.`);
  } else say("");
  await stop();
  photo = { blob, name, width, height };
  URL.revokeObjectURL(at("before").src);
  at("before").src = URL.createObjectURL(blob);
  at("frame").style.setProperty("--ratio", width / height);
  at("frame").style.setProperty("--wide", `${2 * width}px`);
  mask.reset(width, height);
  setMasking(false);
  showResult(null);
  at("drop").hidden = true;
  at("frame").hidden = at("tools").hidden = false;
  at("run").disabled = false;
}
const pick = () => at("file").click();
at("pick").addEventListener("click", pick);
at("replace").addEventListener("click", pick);
at("file").addEventListener("change", () => {
  const [file] = at("file").files;
  if (file) load(file, file.name);
  at("file").value = "";
});
at("sample").addEventListener("click", async () => {
  try { await load(await (await ask("/api/sample")).blob(), "sample.jpg"); } catch (error) { complain(error.message); }
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    at("stage").classList.toggle("over", kind === "dragover");
    if (kind !== "drop") return;
    const [file] = event.dataTransfer.files;
    if (file) load(file, file.name);
  });
}
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
  if (file) load(file, file.name || "pasted.png");
});

// Compare and mask
function showResult(id) {
  for (const part of ["after", "line", "compare", "download", "jpeg"]) at(part).hidden = !id;
  if (!id) return;
  const path = `/api/jobs/${id}/result`;
  const stem = photo.name.replace(/\.[^.]*$/, "");
  at("after").src = path;
  Object.assign(at("download"), { href: path, download: `${stem}-painted.png` });
  Object.assign(at("jpeg"), { href: `${path}?format=jpeg`, download: `${stem}-painted.jpg` });
  setMasking(false);
}
at("after").addEventListener("error", () => complain("The painted picture is no longer on the server. Paint it again."));
at("compare").addEventListener("input", () => {
  at("frame").style.setProperty("--cut", `${at("compare").value}%`);
  at("compare").setAttribute("aria-valuetext", `${at("compare").value} percent photo`);
});
function setMasking(value) {
  at("mask").hidden = at("brushes").hidden = !value;
  at("paint").setAttribute("aria-pressed", value);
  cursor.hidden = true;
  const has = !at("download").hidden && !value;
  for (const part of ["after", "line", "compare"]) at(part).hidden = !has;
}
at("paint").addEventListener("click", () => {
  setMasking(at("mask").hidden);
  if (!at("mask").hidden) at("mask").focus({ preventScroll: true });
});

// Settings
const value = (name) => document.querySelector(`input[name="${name}"]:checked`)?.value;
function show() {
  at("second").hidden = !at("blend").checked;
  at("share-out").textContent = `${at("share").value}%`;
  at("strength-out").textContent = `${Math.round(at("strength").value * 100)}%`;
  at("scale-out").textContent = `${scale().toFixed(1)}×`;
}
const scale = () => 2 ** at("scale").value;
at("controls").addEventListener("input", show);
at("dice").addEventListener("click", () => { at("seed").value = Math.floor(Math.random() * 1e6); });
function addStyles(place, name, styles, chosen) {
  styles.forEach((style, index) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name, value: style.name });
    input.checked = index === chosen;
    const picture = document.createElement(style.thumbnail ? "img" : "b");
    if (style.thumbnail) Object.assign(picture, { src: style.thumbnail, alt: "" });
    else { picture.className = "none"; picture.textContent = style.name[0].toUpperCase(); picture.ariaHidden = "true"; }
    const text = Object.assign(document.createElement("span"), { textContent: style.name });
    label.append(input, picture, text);
    place.append(label);
  });
}
async function form() {
  const data = new FormData();
  data.append("image", photo.blob, photo.name);
  const [a, b] = [value("style"), value("style2")];
  const share = at("share").value / 100;
  if (at("blend").checked && a !== b) data.append("blend", JSON.stringify({ [a]: 1 - share, [b]: share }));
  else data.append("style", a);
  data.append("strength", at("strength").value);
  data.append("style_scale", scale().toFixed(4));
  data.append("preserve_color", at("keep").checked);
  data.append("seed", at("seed").value);
  const painted = await mask.blob();
  if (painted) data.append("mask", painted, "mask.png");
  return data;
}

// Jobs
function say(text) { at("status").textContent = text; }
function setBusy(isBusy) {
  at("progress").hidden = at("cancel").hidden = !isBusy;
  at("run").hidden = isBusy;
  at("controls").ariaBusy = isBusy;
}
function finish(text) {
  const hadFocus = document.activeElement === at("cancel");
  events?.close();
  job = events = null;
  setBusy(false);
  say(text);
  if (hadFocus) at("run").focus();
}
async function stop() {
  number += 1;
  const id = job;
  if (!id && at("run").hidden) return finish("Cancelled.");
  if (!id) return;
  finish("Cancelled.");
  try { await ask(`/api/jobs/${id}`, { method: "DELETE" }); } catch (error) { complain(error.message); }
}
at("cancel").addEventListener("click", stop);
addEventListener("pagehide", () => { if (job) fetch(`/api/jobs/${job}`, { method: "DELETE", keepalive: true }); });
at("controls").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!photo || at("run").hidden) return;
  complain("");
  const mine = ++number;
  const hadFocus = document.activeElement === at("run");
  setBusy(true);
  at("progress").value = 0;
  say("Sending …");
  if (hadFocus) at("cancel").focus();
  try {
    const answer = await ask("/api/jobs", { method: "POST", body: await form() });
    const { id } = await answer.json();
    if (mine !== number) return void ask(`/api/jobs/${id}`, { method: "DELETE" }).catch(() => {});
    job = id;
    follow(id);
  } catch (error) {
    if (mine !== number) return;
    finish("");
    complain(error.message);
  }
});
function follow(id) {
  events = new EventSource(`/api/jobs/${id}/events`);
  const on = (kind, act) => events.addEventListener(kind, (event) => act(JSON.parse(event.data)));
  on("queued", (state) => say(`Waiting: number ${state.position} in the queue.`));
  on("running", (state) => {
    at("progress").value = state.progress;
    say(`Painting … ${Math.round(state.progress * 100)}%`);
  });
  on("done", (state) => { finish(`Done in ${state.seconds.toFixed(1)} s.`); showResult(id); });
  on("cancelled", () => finish("Cancelled."));
  on("failed", (state) => { finish(""); complain(state.error); });
  events.onerror = async () => {
    if (job !== id) return;
    try { await ask(`/api/jobs/${id}`); } catch (error) {
      if (job === id) { finish(""); complain(error.message); }
    }
  };
}

show();
try {
  const health = await (await ask("/api/health")).json();
  limits = health.limits;
  at("model").textContent = health.model;
  at("sample").hidden = !health.sample;
  const { styles } = await (await ask("/api/styles")).json();
  const painted = styles.filter((style) => style.is_painted);
  addStyles(at("styles"), "style", painted, 0);
  addStyles(at("styles2"), "style2", painted, Math.min(1, painted.length - 1));
} catch (error) {
  complain(error.message);
}
