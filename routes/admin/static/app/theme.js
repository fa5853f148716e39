// Light and dark. `theme`: signal, "auto" | "light" | "dark"; setTheme(one) changes and remembers it.
// "auto" leaves it to the system (app.css); the others set data-theme on <html>.
import { signal } from "./lib.js";

const KEY = "gempool.theme";
export const THEMES = ["auto", "light", "dark"];
export const theme = signal(kept());

function kept() {
  try {
    const found = localStorage.getItem(KEY);
    return THEMES.includes(found) ? found : "auto";
  } catch {
    return "auto"; // storage may be forbidden
  }
}

export function setTheme(wanted) {
  theme.value = wanted;
  try {
    if (wanted === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, wanted);
  } catch {
    // then it lasts as long as the page
  }
  apply();
}

export function apply() {
  if (theme.value === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
}

apply();
