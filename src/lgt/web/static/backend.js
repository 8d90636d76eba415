// Who paints: the server that the page came from. The folder that `lgt export --web` writes has
// another module of this name, and of work.js; all others are the same.
const GONE = "The server does not answer. Is lgt serve still running? Start it again, then try once more.";
const TAKEN = /^image\/(jpeg|png|webp|bmp|x-ms-bmp|tiff|gif)$/; // what the server reads

export const readable = "JPEG, PNG, WebP or TIFF";

export class Refusal extends Error {
  constructor(message, code, canRetry = false) {
    super(message);
    Object.assign(this, { code, canRetry });
  }
}
export async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refusal(GONE, "gone", true);
  }
  if (answer.ok) return answer;
  const { code, detail } = await answer.json().catch(() => ({}));
  const wait = answer.headers.get("Retry-After");
  if (code === "queue_full") throw new Refusal(`The server is busy: its queue is full. Try again in ${wait} seconds.`, code, true);
  if (code === "no_job" || code === "no_batch") throw new Refusal("The server no longer knows this painting; it was started anew, perhaps. Paint again.", code, true);
  throw new Refusal(detail || `The server refused (${answer.status}).`, code);
}

// What it takes and knows: { limits, defaults, is_random, model, sample, styles }.
export async function open() {
  const health = await (await ask("api/health")).json();
  return { ...health, ...(await (await ask("api/styles")).json()) };
}
export const isTaken = (type) => type === "" || TAKEN.test(type);
export const tooMany = (most, left) => `This server takes ${most} photos at once (lgt serve --queue); ${left} were left out.`;
export const tooLarge = (name) => `${name} is too large for this server. Make it smaller first.`;
export const reduced = "reduced to fit the server";

// Relative to the page, which may lie under a sub-path of its host.
export const thumbnail = (style) => style.thumbnail && `api/styles/${encodeURIComponent(style.name)}/thumbnail`;
export const sample = async () => (await ask("api/sample")).blob();

// What the browser can not show: { blob, width, height } of a picture of it, or null if it is none.
export async function preview(file, name) {
  const data = new FormData();
  data.append("image", file, name);
  let answer;
  try {
    answer = await ask("api/preview", { method: "POST", body: data });
  } catch (error) {
    if (error.code !== "bad_image") throw error;
    return null;
  }
  const [width, height] = ["Width", "Height"].map((side) => Number(answer.headers.get(`X-Photo-${side}`)));
  return { blob: await answer.blob(), width, height };
}

// A painting as JPEG: where it lies, and its bytes, or null where they are gone.
export const jpegAddress = (result) => `api/jobs/${result.id}/result?format=jpeg`;
export async function jpeg(result) {
  const answer = await fetch(jpegAddress(result)).catch(() => null);
  return answer?.ok ? answer.blob() : null;
}
