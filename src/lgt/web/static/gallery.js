// The photos, their paintings, and the frame that compares the two.
import { jpeg, jpegAddress } from "./backend.js";
import { at, complain, tile } from "./page.js";
import { Mask } from "./mask.js";

const MAX_RESULTS = 12; // of one photo; the oldest go first
const cursor = at("cursor");
export const mask = new Mask(at("mask"), {
  draw: at("draw"), erase: at("erase"), undo: at("undo"), clear: at("clear"), invert: at("invert"), keep: at("save-mask"),
  size: at("size"), cursor,
});
mask.onchange = () => { at("paint").textContent = !at("mask").hidden ? "Done" : mask.isUsed ? "Mask (on)" : "Mask"; };

export const photos = []; // { blob, name, width, height, url, note, results, shown, mask, state }
let current = null;
let archive = null; // path of the zip file of the latest batch
export const photo = () => current;

export function add(photo) {
  photos.push(Object.assign(photo, { results: [], shown: null, mask: null, state: "" }));
}
export function select(chosen) {
  if (current && photos.includes(current)) current.mask = mask.save();
  current = chosen;
  at("drop").hidden = !!chosen;
  at("frame").hidden = at("tools").hidden = !chosen;
  for (const part of ["caption", "results", "photos"]) if (!chosen) at(part).hidden = true;
  at("run").disabled = !chosen;
  setMasking(false);
  if (!chosen) return;
  at("before").src = chosen.url;
  at("before").alt = `Your photo ${chosen.name}`;
  at("frame").style.setProperty("--ratio", chosen.width / chosen.height);
  at("frame").style.setProperty("--wide", `${2 * chosen.width}px`);
  mask.reset(chosen.width, chosen.height, chosen.mask);
  show();
}
export function drop(gone) {
  photos.splice(photos.indexOf(gone), 1);
  for (const { url } of [gone, ...gone.results]) URL.revokeObjectURL(url);
}
at("remove").addEventListener("click", () => {
  const index = photos.indexOf(current);
  drop(current);
  select(photos[Math.min(index, photos.length - 1)] ?? null);
  at(photos.length ? "remove" : "pick").focus();
});

// Keep a painting: { id, url, label, style }. It is shown when its photo is.
export function addResult(owner, result) {
  owner.results.push(result);
  owner.shown = result;
  if (owner.results.length > MAX_RESULTS) URL.revokeObjectURL(owner.results.shift().url);
  show();
}
export function setArchive(path) {
  archive = path;
  show();
}

// Draw everything anew from the state.
export function show() {
  const result = current?.shown;
  if (!current) return;
  const isMasking = !at("mask").hidden;
  for (const part of ["after", "line", "compare"]) at(part).hidden = !result || isMasking;
  for (const part of ["download", "jpeg", "variant", "caption"]) at(part).hidden = !result || isMasking;
  at("zip").hidden = !archive || isMasking;
  if (archive) at("zip").href = archive;
  if (result) {
    const stem = `${current.name.replace(/\.[^.]*$/, "")}_${result.style}`;
    at("after").src = result.url;
    at("caption").textContent = result.label;
    Object.assign(at("download"), { href: result.url, download: `${stem}.png` });
    Object.assign(at("jpeg"), { href: jpegAddress(result), download: `${stem}.jpg` });
  }
  for (const part of ["replace", "remove"]) at(part).hidden = isMasking;
  at("remove").setAttribute("aria-label", `Remove ${current.name}`);
  at("all").hidden = photos.length < 2 || at("run").hidden;
  at("all").textContent = `Paint all ${photos.length}`;
  list("photos", photos, current, photos.length > 1 && !isMasking, (each) => [each.name, each.url, each.state], select);
  list("results", current.results, result, current.results.length > 1 && !isMasking, (each) => [each.label, each.url, ""], (each) => {
    current.shown = each;
    show();
  });
}
function list(name, items, chosen, isShown, about, choose) {
  const place = at(name).lastElementChild;
  at(name).hidden = !isShown;
  const key = items.map((item) => about(item)[1]).join(" ");
  if (place.dataset.key !== key) {
    place.dataset.key = key;
    place.replaceChildren(...items.map((item, index) => {
      const [text, picture] = about(item);
      const label = tile(name, index, text, picture, item === chosen);
      label.append(document.createElement("i"));
      label.firstElementChild.addEventListener("change", () => choose(item));
      return label;
    }));
  }
  items.forEach((item, index) => {
    const label = place.children[index], state = about(item)[2];
    label.firstElementChild.checked = item === chosen;
    label.lastElementChild.textContent = state;
    label.lastElementChild.hidden = !state;
  });
}

// Compare and mask
at("compare").addEventListener("input", () => {
  at("frame").style.setProperty("--cut", `${at("compare").value}%`);
  at("compare").setAttribute("aria-valuetext", `${at("compare").value} percent photo`);
});
at("jpeg").addEventListener("click", async (event) => {
  event.preventDefault();
  const { download } = at("jpeg");
  const blob = await jpeg(current.shown);
  if (!blob) return complain("The server no longer keeps this picture as JPEG. Download the PNG, or paint it again.");
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
});
export function setMasking(value) {
  at("mask").hidden = at("brushes").hidden = !value;
  at("paint").setAttribute("aria-pressed", value);
  cursor.hidden = true;
  mask.onchange();
  show();
}
at("paint").addEventListener("click", () => {
  setMasking(at("mask").hidden);
  if (!at("mask").hidden) at("mask").focus({ preventScroll: true });
});
