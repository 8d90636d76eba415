// Ways for pictures to come in: button, drop, paste; and making them fit who paints.
import { isTaken, preview, readable, tooLarge } from "./backend.js";
import { at } from "./page.js";

// Returns { blob, name, width, height, url, note }; throws an Error that says what is wrong.
export async function readPhoto(file, name, limits) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    return previewed(file, name, limits);
  }
  let { width, height } = picture;
  if (Math.min(width, height) < 16) throw new Error(`${name}: ${width} × ${height} is too small. Each side needs 16 pixels.`);
  let blob = file, note = "";
  const scale = Math.min(1, Math.sqrt(limits.max_pixels / (width * height)));
  const isForeign = !isTaken(file.type); // the browser reads it, the server does not
  if (scale < 1 || isForeign || file.size > limits.max_upload_bytes) {
    width = Math.max(1, Math.floor(width * scale));
    height = Math.max(1, Math.floor(height * scale));
    blob = await reduced(picture, width, height);
    if (!blob || blob.size > limits.max_upload_bytes) throw new Error(tooLarge(name));
    note = scale < 1 ? `The photo was reduced to ${width} × ${height}.` : "The photo was sent as a JPEG.";
  }
  picture.close();
  return { blob, name, width, height, note, url: URL.createObjectURL(blob) };
}
// The browser can not show it, but the server may be able to read it, such as a TIFF file.
async function previewed(file, name, limits) {
  if (file.size > limits.max_upload_bytes) throw new Error(tooLarge(name));
  const shown = await preview(file, name);
  if (!shown) throw new Error(`${name}: this is not a picture that can be read. Use a ${readable} file.`);
  const { width, height } = shown;
  return { blob: file, name, width, height, note: "", url: URL.createObjectURL(shown.blob) };
}
function reduced(picture, width, height) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, height);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
}

// Call `take` with a list of files whenever some are chosen, dropped or pasted.
export function listen(take) {
  for (const id of ["pick", "replace"]) at(id).addEventListener("click", () => at("file").click());
  at("file").addEventListener("change", () => {
    const files = [...at("file").files];
    at("file").value = "";
    if (files.length) take(files);
  });
  for (const kind of ["dragover", "dragleave", "drop"]) {
    addEventListener(kind, (event) => {
      event.preventDefault();
      at("stage").classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) take([...event.dataTransfer.files]);
    });
  }
  addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) take(files.map((file) => new File([file], file.name || "pasted.png", { type: file.type })));
  });
}
