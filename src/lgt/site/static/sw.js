// Keeps the whole site for use without a network, and lets WebAssembly have threads: browsers give
// them only to pages whose answers carry the two cross-origin headers, which simple hosts do not send.
const VERSION = "__VERSION__";
const FILES = __FILES__;
const home = self.registration.scope;
const mine = `lgt ${home} `; // other sites may lie beside this one
const urls = new Set(FILES.map((path) => new URL(path, home).href));

self.addEventListener("install", (event) => {
  if (!self.registration.active) self.skipWaiting(); // an open page keeps the version that it began with
  event.waitUntil(caches.open(mine + VERSION));
});
self.addEventListener("activate", (event) => {
  const old = async () => {
    for (const name of await caches.keys()) if (name.startsWith(mine) && name !== mine + VERSION) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(old());
});

function isolated(answer) {
  const headers = new Headers(answer.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return new Response(answer.body, { status: answer.status, statusText: answer.statusText, headers });
}
// From what is kept, else from the network; `later` waits until that is kept.
async function answered(url, later) {
  const kept = await caches.open(mine + VERSION);
  const found = await kept.match(url);
  if (found) return isolated(found);
  const answer = await fetch(url, { cache: "no-cache" });
  if (answer.ok) later(kept.put(url, answer.clone()));
  return isolated(answer);
}
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  url.search = url.hash = "";
  if (url.href === home) url.href = new URL("index.html", home).href;
  if (request.method !== "GET" || !urls.has(url.href)) return;
  event.respondWith(answered(url.href, (storing) => event.waitUntil(storing)));
});

// The page asks, once it is ready, that all the rest be fetched.
self.addEventListener("message", (event) => {
  if (event.data !== "keep") return;
  const keep = async () => {
    const storing = [];
    for (const url of urls) await (await answered(url, (each) => storing.push(each))).body?.cancel();
    await Promise.all(storing);
    event.source.postMessage("kept");
  };
  event.waitUntil(keep().catch(() => {})); // without a network: at the next visit
});
