// What the page shows while pictures are painted, whoever paints them.
import { at, say } from "./page.js";
import { photos, show } from "./gallery.js";
import { vary } from "./settings.js";

export const isBusy = () => at("run").hidden;
export function setBusy(value) {
  const had = document.activeElement;
  at("progress").hidden = at("cancel").hidden = !value;
  at("run").hidden = value;
  at("variant").disabled = value;
  at("all").hidden = value || photos.length < 2;
  at("controls").ariaBusy = value;
  document.title = "LGT";
  if (value && (had === at("run") || had === at("all"))) at("cancel").focus();
  if (!value && had === at("cancel")) at("run").focus();
}
export function progress(fraction, text) {
  at("progress").value = fraction;
  document.title = `${Math.round(fraction * 100)}% · LGT`;
  say(text);
}
// Nothing is painted any more.
export function rest(text) {
  setBusy(false);
  for (const each of photos) if (!["done", "failed"].includes(each.state)) each.state = "";
  show();
  say(text);
}
// On a narrow window the picture is above the form: bring it into view.
export function reveal() {
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const box = at("frame").getBoundingClientRect();
  if (box.bottom < 120) at("frame").scrollIntoView({ behavior: isCalm ? "auto" : "smooth", block: "center" });
}

// Bind the buttons.
export function offer(paintOne, paintAll, stop) {
  at("controls").addEventListener("submit", (event) => { event.preventDefault(); paintOne(); });
  at("all").addEventListener("click", () => paintAll());
  at("variant").addEventListener("click", () => { vary(); paintOne(); });
  at("cancel").addEventListener("click", () => stop());
}
