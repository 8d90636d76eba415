// Painting on this device: a worker takes one photo after another; cancel ends it.
import { at, complain, say } from "./page.js";
import { isBusy, offer, progress, rest, reveal, setBusy } from "./busy.js";
import { addResult, mask, photo, photos, setMasking, show } from "./gallery.js";
import { describe, fields } from "./settings.js";
import { keep, settled } from "./offline.js";

const where = new URLSearchParams(location.search).get("on"); // `?on=wasm`, `?on=webgpu`; else chosen
let worker = null;
let isQuiet = false; // a worker that follows a cancelled one loads without a word
let round = 0; // counts what was cancelled
let job = null; // { done, failed, report } of the painting in progress

function begin() {
  worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }) => hear(data));
  worker.addEventListener("error", (event) => hear({ kind: "failed", error: event.message || "The painter did not start. Load the page again." }));
  worker.postMessage({ kind: "load", where });
}
function hear(message) {
  const { kind, share } = message;
  if (kind === "loading") {
    const text = `Loading the model … ${Math.floor(share * 100)}%`;
    if (job) job.report(0, text);
    else if (!isQuiet) say(share < 1 ? text : "");
  } else if (kind === "ready") {
    document.documentElement.dataset.on = message.where;
    keep();
  } else if (kind === "progress") job?.report(share, null);
  else if (kind === "done") job?.done(message);
  else if (kind === "failed" && job) job.failed(new Error(message.error));
  else if (kind === "failed") say(""), complain(message.error, () => { worker.terminate(); begin(); });
}

// What the form says, as the worker wants it: numbers, and nothing that is the model's own choice.
function settingsOf(sent) {
  const settings = { blend: sent.blend ? JSON.parse(sent.blend) : { [sent.style]: 1 }, preserveColor: !!sent.preserve_color };
  const names = { strength: "strength", canvas: "canvas", detail: "detail", color: "color", scale: "style_scale", maxSide: "max_side", repulsion: "repulsion" };
  for (const [name, given] of Object.entries(names)) if (given in sent) settings[name] = Number(sent[given]);
  return settings;
}
function painted(owner, sent, painting, report) {
  return new Promise((done, failed) => {
    job = { done, failed, report };
    if (!worker) begin();
    worker.postMessage({ kind: "paint", photo: owner.blob, mask: painting, settings: settingsOf(sent) });
  }).finally(() => { job = null; });
}
const means = ({ where: on, threads }) => (on === "webgpu" ? "on the graphics card" : `on ${threads} ${threads === 1 ? "thread" : "threads"}`);
const percent = (share) => `${Math.round(share * 100)}%`;

async function paint(owners, painting, again) {
  if (!owners.length || isBusy() || !at("controls").reportValidity()) return;
  complain("");
  const sent = fields(), about = describe(sent), failed = [];
  let last = null;
  setBusy(true);
  if (owners.length > 1) for (const each of owners) each.state = "waits";
  const mine = round;
  for (const [index, owner] of owners.entries()) {
    const text = owners.length > 1 ? `Painting ${index + 1} of ${owners.length}` : "Painting";
    const report = (share, instead) => {
      progress((index + share) / owners.length, instead ?? `${text} … ${percent(share)}`);
      if (owners.length > 1) owner.state = percent(share);
      if (owners.length > 1) show();
    };
    report(0);
    try {
      last = await painted(owner, sent, painting, report);
      owner.state = owners.length > 1 ? "done" : "";
      if (photos.includes(owner)) addResult(owner, { url: URL.createObjectURL(last.blob), ...about });
    } catch (error) {
      if (mine !== round) return; // cancelled
      owner.state = owners.length > 1 ? "failed" : "";
      failed.push(owners.length > 1 ? `${owner.name}: ${error.message}` : error.message);
    }
  }
  const count = owners.length - failed.length;
  if (failed.length) complain(failed.join(" "), again);
  rest(owners.length > 1 ? `Painted ${count} of ${owners.length}.` : last ? `Done in ${last.seconds.toFixed(1)} s ${means(last)}.` : "");
  if (count && photo() === owners[0]) setMasking(false);
  if (count) reveal();
}
async function paintOne() {
  if (!isBusy() && photo()) await paint([photo()], await mask.blob(), paintOne);
}
const paintAll = () => paint([...photos], null, paintAll);

function stop() {
  if (!isBusy()) return;
  worker?.terminate(); // nothing else ends a computation at once
  const { failed } = job ?? {};
  round += 1;
  isQuiet = true;
  begin();
  failed?.(new Error("cancelled"));
  rest("Cancelled.");
}
offer(paintOne, paintAll, stop);
settled().then(() => worker || begin());
