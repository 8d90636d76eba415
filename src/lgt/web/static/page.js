// What every part of the page needs: elements, messages, requests, tiles.
export const at = (id) => document.getElementById(id);
const GONE = "The server does not answer. Is lgt serve still running? Start it again, then try once more.";

export function say(text) { at("status").textContent = text; }

// Show what went wrong; `retry` is offered as a button.
let again = null;
export function complain(text, retry = null) {
  again = retry;
  at("alert").hidden = !text;
  at("alert").firstElementChild.textContent = text || "";
  at("retry").hidden = !retry;
}
at("dismiss").addEventListener("click", () => complain(""));
at("retry").addEventListener("click", () => {
  const act = again;
  complain("");
  act?.();
});

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

// A radio button with a picture; `picture` null shows the first letter.
export function tile(name, value, text, picture, checked) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name, value, checked });
  const shown = document.createElement(picture ? "img" : "b");
  if (picture) Object.assign(shown, { src: picture, alt: "" });
  else { shown.className = "none"; shown.textContent = text[0].toUpperCase(); shown.ariaHidden = "true"; }
  const caption = Object.assign(document.createElement("span"), { textContent: text });
  label.title = text;
  label.append(input, shown, caption);
  return label;
}
