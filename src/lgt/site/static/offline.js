// The service worker: threads for WebAssembly, and the site without a network after the first visit.
import { at, say } from "./page.js";
import { photos } from "./gallery.js";

const PATIENCE = 3000; // ms that a service worker may take to begin
const TRIED = "lgt: loaded again for threads";
const store = { // a private window may refuse it
  get: () => { try { return sessionStorage.getItem(TRIED); } catch { return "1"; } },
  set: () => { try { sessionStorage.setItem(TRIED, "1"); } catch { /* then there are no threads */ } },
};

async function register() {
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
const mayReload = () => !crossOriginIsolated && !store.get() && !photos.length;
function isolate() {
  if (!mayReload()) return;
  store.set();
  location.reload();
}
export async function keep() {
  (await navigator.serviceWorker?.ready)?.active.postMessage("keep");
}
// Resolves when the page is not about to be loaded again: what is fetched before would be in vain.
export async function settled() {
  const isOffered = !!navigator.serviceWorker; // not at http: addresses other than this machine
  if (isOffered) register().catch((error) => console.warn(`No service worker: ${error.message}`));
  if (isOffered && mayReload()) await new Promise((go) => setTimeout(go, PATIENCE));
}
