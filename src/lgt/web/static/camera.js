// A photo from the camera: the picture is shown in a dialog until it is taken.
import { at, complain } from "./page.js";

export function offerCamera(take) {
  if (!navigator.mediaDevices?.getUserMedia) return;
  at("camera").hidden = false;
  at("camera").addEventListener("click", () => show(take).catch((error) => complain(told(error))));
}
const told = (error) => ({
  NotAllowedError: "The browser was not allowed to use the camera. Allow it in the address bar, or choose a photo.",
  NotFoundError: "There is no camera here. Choose a photo instead.",
})[error.name] ?? `The camera can not be used (${error.message}). Choose a photo instead.`;

async function show(take) {
  const ideal = { facingMode: "environment", width: { ideal: 4096 }, height: { ideal: 3072 } };
  const stream = await navigator.mediaDevices.getUserMedia({ video: ideal });
  const dialog = Object.assign(document.createElement("dialog"), { id: "camera-dialog", ariaLabel: "Camera" });
  const video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
  const tools = Object.assign(document.createElement("div"), { className: "pair" });
  const button = (text, look) => tools.appendChild(Object.assign(document.createElement("button"), { type: "button", className: look, textContent: text }));
  const shutter = button("Take photo", "primary"), cancel = button("Cancel", "plain");
  dialog.append(video, tools);
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    for (const track of stream.getTracks()) track.stop();
    dialog.remove();
    at("camera").focus();
  });
  cancel.addEventListener("click", () => dialog.close());
  shutter.addEventListener("click", async () => {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
    dialog.close();
    await take([new File([blob], "camera.jpg", { type: "image/jpeg" })]);
  });
  shutter.disabled = true;
  dialog.showModal();
  await video.play();
  shutter.disabled = false;
  shutter.focus();
}
