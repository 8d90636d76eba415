// The service worker: threads for WebAssembly, and the site without a network after the first visit.
import { at, say } from "./page.js";
import { photos } from "./gallery.js";

const TRIED = "lgt: loaded again for threads";
const store = { // a private window may refuse it
  get: () => { try { return sessionStorage.getItem(TRIED); } catch { return "1"; } },
  set: () => { try { sessionStorage.setItem(TRIED, "1"); } catch { /* then there are no threads */ } },
};

async function register() {
  if (!navigator.serviceWorker) return; // an address that starts with http:, other than this machine
  navigator.serviceWorker.addEventListener("message", ({ data }) => {
    if (data !== "kept") return;
    document.documentElement.dataset.kept = "";
    if (!at("status").textContent) say("Ready, also without a network.");
  });
  navigator.serviceWorker.addEventListener("controllerchange", isolate);
  await navigator.serviceWorker.register("sw.js");
  if (navigator.serviceWorker.controller) isolate();
}
// Threads need the headers that the service worker adds, so the page is loaded once more; not where
// the visitor has already begun: one thread paints as well.
function isolate() {
  if (crossOriginIsolated || store.get() || photos.length) return;
  store.set();
  location.reload();
}
export async function keep() {
  (await navigator.serviceWorker?.ready)?.active.postMessage("keep");
}
register().catch((error) => console.warn(`No service worker: ${error.message}`));
