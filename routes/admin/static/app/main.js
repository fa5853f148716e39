// Starts the page.
import { html, render } from "./lib.js";
import { ready } from "./i18n.js";
import { start } from "./live.js";
import "./theme.js";
import { Frame } from "./frame.js";

await ready();
const page = document.getElementById("page");
page.replaceChildren(); // render() would leave the first word beside what it draws
render(html`<${Frame} />`, page);
start();
