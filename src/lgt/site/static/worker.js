// Paints beside the page, so that it stays alive: photos come as files, paintings go as PNG files.
import { Engine } from "./engine.js";
import { paint } from "./paint.js";

const STRIP = 1024; // rows that are read at once: a large canvas is not to be had everywhere
const REHEARSALS = 4;
let loading = null, rehearsed = null;

function load(where) {
  loading ??= Engine.load(where, (share) => postMessage({ kind: "loading", share }));
  return loading;
}

// The picture upright and in sRGB, its pixels as RGBA.
async function pixels(blob) {
  const picture = await createImageBitmap(blob);
  const { width, height } = picture;
  const data = new Uint8ClampedArray(4 * width * height);
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height));
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(picture, 0, top, width, rows, 0, 0, width, rows);
    data.set(context.getImageData(0, 0, width, rows).data, 4 * top * width);
  }
  picture.close();
  return { width, height, data };
}
function file({ width, height, data }) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

const completed = (engine, settings) => ({
  strength: 1, canvas: engine.site.canvas, detail: engine.site.detail, color: engine.site.color, scale: 1, maxSide: 0, repulsion: 0, preserveColor: false,
  ...settings, code: engine.code(settings.blend), own: engine.site.own && engine.code({ [engine.site.own]: 1 }),
});

// Paint small plain pictures, until the browser has compiled what takes long: it does so for code that
// was called often, and a photo calls all of it seldom and long.
async function rehearse(engine) {
  for (let turn = 0; turn < REHEARSALS && engine.where === "wasm"; turn += 1) {
    const plain = { width: 96, height: 72, data: new Uint8ClampedArray(4 * 96 * 72).fill(255) };
    await paint(plain, engine, completed(engine, { blend: {}, canvas: 64 }), null, () => {});
  }
}

async function painted({ photo, mask, settings }) {
  const engine = await load();
  const started = performance.now();
  await rehearsed;
  const ready = completed(engine, settings);
  const report = (share) => postMessage({ kind: "progress", share });
  const make = async () => paint(await pixels(photo), engine, ready, mask && (await pixels(mask)), report);
  let picture;
  try {
    picture = await make();
  } catch (error) {
    if (engine.where === "wasm") throw error;
    console.warn(`WebGPU gave up: ${error.message}`); // too little memory, or the device was lost
    await engine.open("wasm");
    picture = await make();
  }
  const blob = await file(picture);
  return { blob, width: picture.width, height: picture.height, seconds: (performance.now() - started) / 1000, where: engine.where, threads: engine.threads };
}

self.addEventListener("message", async ({ data }) => {
  try {
    if (data.kind === "load") {
      const engine = await load(data.where);
      postMessage({ kind: "ready", where: engine.where, threads: engine.threads });
      await (rehearsed ??= rehearse(engine).catch((error) => console.warn(`Not rehearsed: ${error.message}`)));
    } else postMessage({ kind: "done", ...(await painted(data)) });
  } catch (error) {
    loading = null;
    postMessage({ kind: "failed", error: error.message || String(error) });
  }
});
