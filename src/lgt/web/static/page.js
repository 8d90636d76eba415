// What every part of the page needs: elements, messages, tiles.
export const at = (id) => document.getElementById(id);

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

// The bar of the Paint button covers no control that keys or scripts scroll to.
new ResizeObserver(([bar]) => {
  document.documentElement.style.scrollPaddingBottom = `${bar.target.offsetHeight + 12}px`;
}).observe(at("go"));

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
