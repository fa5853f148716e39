// Starts the page.
import { html, render } from "./lib.js";
import { ready } from "./i18n.js";
import { start } from "./live.js";
import "./theme.js";
import { Frame } from "./frame.js";

await ready();
render(html`<${Frame} />`, document.getElementById("page"));
start();
