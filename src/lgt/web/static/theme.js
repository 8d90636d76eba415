// Light or dark: as the system says, until the button is pressed.
import { at } from "./page.js";

const system = matchMedia("(prefers-color-scheme: dark)");
const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  at("theme").textContent = name === "dark" ? "Light" : "Dark";
  at("theme").setAttribute("aria-label", `Change to ${name === "dark" ? "light" : "dark"} colours`);
}
setTheme(stored() || (system.matches ? "dark" : "light"));
system.addEventListener("change", () => stored() || setTheme(system.matches ? "dark" : "light"));
at("theme").addEventListener("click", () => {
  const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(name);
  try { localStorage.setItem("theme", name); } catch { /* private window */ }
});
