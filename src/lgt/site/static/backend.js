// Who paints: this device. `lgt serve` has another module of this name; see there what each is for.
import { at } from "./page.js";

const LACKING = ["chance", "seed", "source", "variant", "zip"]; // what the graphs do not do
const isSmall = matchMedia("(pointer: coarse)").matches; // phones hold smaller canvases
const LIMITS = { max_pixels: isSmall ? 16e6 : 50e6, max_upload_bytes: Infinity, max_batch: 8 };
const QUALITY = 0.95;

const hide = (id) => (at(id).closest(".setting") ?? at(id)).classList.add("lacking");
LACKING.forEach(hide);

export async function open() {
  const answer = await fetch("model.json").catch(() => null);
  if (!answer?.ok) throw new Error("The model's description, model.json, could not be loaded. Is the folder whole, and is there a network?");
  const site = await answer.json();
  const { canvas, detail, color } = site;
  if (!site.own) hide("repulsion"); // there is no style of photos to paint away from
  return { ...site, limits: LIMITS, is_random: false, sample: true, defaults: { canvas, detail, color, num_steps: 1 } };
}
export const isTaken = () => true;
export const readable = "JPEG, PNG, WebP or AVIF";
export const tooMany = (most, left) => `This page takes ${most} photos at once; ${left} were left out.`;
export const tooLarge = (name) => `${name} is too large for this device. Make it smaller first.`;
export const reduced = "reduced to fit this device";
export const thumbnail = (style) => style.thumbnail;
export const sample = async () => (await fetch("sample.jpg")).blob();
export const preview = async () => null;

export const jpegAddress = (result) => result.url;
export async function jpeg(result) {
  const picture = await createImageBitmap(await (await fetch(result.url)).blob());
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}
