import { open, reduced, sample, tooMany } from "./backend.js";
import { at, complain, say } from "./page.js";
import "./theme.js";
import { offerCamera } from "./camera.js";
import { listen, readPhoto } from "./files.js";
import { add, drop, photo, photos, select } from "./gallery.js";
import { fill } from "./settings.js";
import "./work.js";

let limits = { max_pixels: 4194304, max_upload_bytes: 20e6, max_batch: 8 };

async function take(files) {
  complain("");
  const problems = [], notes = [];
  const isSwap = files.length === 1 && photos.length >= limits.max_batch; // the new one takes the place
  const room = isSwap ? 1 : limits.max_batch - photos.length;
  if (files.length > room) problems.push(tooMany(limits.max_batch, files.length - Math.max(room, 0)));
  const read = [];
  for (const file of files.slice(0, Math.max(room, 0))) {
    try {
      read.push(await readPhoto(file, file.name, limits));
    } catch (error) {
      problems.push(error.message);
    }
  }
  complain(problems.join(" "));
  if (!read.length) return;
  if (isSwap) drop(photo());
  for (const each of read) {
    add(each);
    if (each.note) notes.push(each.note);
  }
  say(notes.length > 1 ? `${notes.length} photos were ${reduced}.` : notes.join(""));
  select(read[0]);
}
listen(take);
offerCamera(take);
at("sample").addEventListener("click", async () => {
  try {
    const blob = await sample();
    await take([new File([blob], "sample.jpg", { type: blob.type })]);
  } catch (error) {
    complain(error.message);
  }
});

async function begin() {
  try {
    const health = await open();
    limits = health.limits;
    at("model").textContent = health.model === "embedded" ? "style transfer" : health.model;
    at("sample").hidden = !health.sample;
    fill(health, health.styles);
  } catch (error) {
    complain(error.message, begin);
  }
}
await begin();
