// Painting by the server: one photo as a job, several as a batch; progress by server-sent events.
import { ask } from "./backend.js";
import { at, complain, say } from "./page.js";
import { isBusy, offer, progress, rest, reveal, setBusy } from "./busy.js";
import { addResult, mask, photo, photos, setArchive, setMasking, show } from "./gallery.js";
import { describe, fields } from "./settings.js";

const RETRIES = 3, PAUSE = 700; // looks at a server that does not answer, and ms between them
const STOPPED = "The server was stopped, and this painting with it. Start lgt serve again, then try once more.";
let work = null; // { path, events } of what is being painted
let number = 0; // of the latest run; a late answer to an older one is dropped

function finish(text) {
  work?.events?.close();
  work = null;
  rest(text);
}
export async function stop() {
  if (!isBusy()) return;
  number += 1;
  const path = work?.path;
  finish("Cancelled.");
  if (!path) return;
  try { await ask(path, { method: "DELETE" }); } catch (error) { complain(error.message); }
}
addEventListener("pagehide", () => { if (work) fetch(work.path, { method: "DELETE", keepalive: true }); });

// Send a form and follow what comes of it.
async function start(root, fill, again, follow) {
  if (!photos.length || isBusy() || !at("controls").reportValidity()) return;
  complain("");
  const mine = ++number;
  setBusy(true);
  progress(0, "Sending …");
  try {
    const sent = fields();
    const data = new FormData();
    for (const [name, value] of Object.entries(sent)) data.append(name, value);
    await fill(data);
    const state = await (await ask(root, { method: "POST", body: data })).json();
    const path = `${root}/${state.id}`;
    if (mine !== number) return void ask(path, { method: "DELETE" }).catch(() => {});
    work = { path, events: new EventSource(`${path}/events`) };
    follow(state, describe(sent));
    work.events.onerror = () => survive(mine, path, again);
  } catch (error) {
    if (mine !== number) return;
    finish("");
    complain(error.message, error.canRetry ? again : null);
  }
}
// The stream broke: EventSource connects again by itself, unless the server is gone for good.
async function survive(mine, path, again) {
  for (let left = RETRIES; ; left -= 1) {
    if (mine !== number || work?.path !== path) return;
    try {
      return void await ask(path);
    } catch (error) {
      if (left > 0 && error.code === "gone") { await new Promise((go) => setTimeout(go, PAUSE)); continue; }
      if (mine !== number || work?.path !== path) return;
      number += 1;
      finish("");
      return complain(error.message, again);
    }
  }
}
async function keep(owner, id, about) {
  const blob = await (await ask(`api/jobs/${id}/result`)).blob();
  if (photos.includes(owner)) addResult(owner, { id, url: URL.createObjectURL(blob), ...about });
}

export function paintOne() {
  const owner = photo();
  const on = (kind, act) => work.events.addEventListener(kind, (event) => act(JSON.parse(event.data)));
  return start("api/jobs", async (data) => {
    data.append("image", owner.blob, owner.name);
    const painted = await mask.blob();
    if (painted) data.append("mask", painted, "mask.png");
  }, paintOne, (job, about) => {
    on("queued", (state) => say(`Waiting: number ${state.position} in the queue.`));
    on("running", (state) => progress(state.progress, `Painting … ${Math.round(state.progress * 10) * 10}%`));
    on("cancelled", () => { number += 1; finish(""); complain(STOPPED, paintOne); }); // not by this page
    on("failed", (state) => { number += 1; finish(""); complain(state.error, paintOne); });
    on("done", async (state) => {
      const mine = number;
      work.events.close();
      try {
        await keep(owner, job.id, about);
      } catch (error) {
        if (mine === number) { finish(""); complain(error.message, paintOne); }
        return;
      }
      if (mine !== number) return;
      finish([`Done in ${state.seconds.toFixed(1)} s.`, state.note].filter(Boolean).join(" "));
      if (photo() === owner) setMasking(false);
      reveal();
    });
  });
}

export function paintAll() {
  const owners = [...photos], kept = new Set();
  return start("api/batch", async (data) => {
    for (const each of owners) { data.append("images", each.blob, each.name); each.state = "waits"; }
    setArchive(null);
  }, paintAll, (batch, about) => {
    const read = async (event) => {
      const mine = number, path = work.path, { state, jobs } = JSON.parse(event.data);
      const ready = [];
      jobs.forEach((job, index) => {
        const texts = { queued: "waits", running: `${Math.round(job.progress * 100)}%`, cancelled: "cancelled" };
        owners[index].state = texts[job.state] ?? job.state;
        if (job.state === "done" && !kept.has(job.id)) { kept.add(job.id); ready.push(keep(owners[index], job.id, about)); }
      });
      const done = jobs.filter((job) => ["done", "failed", "cancelled"].includes(job.state)).length;
      progress(jobs.reduce((sum, job) => sum + (job.state === "failed" ? 1 : job.progress), 0) / jobs.length, `Painting ${Math.min(done + 1, jobs.length)} of ${jobs.length} …`);
      show();
      if (state === "done") work.events.close();
      const lost = (await Promise.allSettled(ready)).filter((each) => each.reason);
      if (mine !== number) return;
      if (lost.length) complain(lost[0].reason.message, paintAll);
      if (state === "done") over(path, jobs);
    };
    for (const kind of ["running", "done"]) work.events.addEventListener(kind, read);
  });
  function over(path, jobs) {
    const failed = jobs.flatMap((job, index) => (job.state === "failed" ? [`${owners[index].name}: ${job.error}`] : []));
    const done = jobs.filter((job) => job.state === "done").length;
    if (done) setArchive(`${path}/result`);
    finish([`Painted ${done} of ${jobs.length}.`, ...jobs.map((job) => job.note)].filter(Boolean).join(" "));
    if (failed.length) complain(failed.join(" "), paintAll);
    reveal();
  }
}

offer(paintOne, paintAll, stop);
