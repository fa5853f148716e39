// Two pictures over each other, and a handle between them. The handle is a range input, so arrow keys move it and
// readers tell where it stands.
//
//   <${Compare} before=${{url, label}} after=${{url, label}} />
import { html, useState } from "../../lib.js";
import { Button } from "../../ui.js";
import { t } from "../../i18n.js";

const CORNER = 78; // percent: there the line crosses Google's logo, where the corner is shown large

export function Compare({ before, after }) {
  const [at, setAt] = useState(50);
  const [near, setNear] = useState(false);
  const look = () => {
    setNear(!near);
    setAt(near ? 50 : CORNER);
  };
  const told = t("compare.at", { n: at, before: before.label, after: after.label });
  return html`<figure class="stack tight">
    <div class=${`compare ${near ? "near" : ""}`} style=${{ "--at": `${at}%` }}>
      <img src=${after.url} alt=${after.label} />
      <img class="over" src=${before.url} alt=${before.label} />
      <span class="side left" aria-hidden="true">${before.label}</span><span class="side right" aria-hidden="true">${after.label}</span>
      <i class="edge" aria-hidden="true" />
      <input type="range" min="0" max="100" value=${at} aria-label=${t("compare.label")} aria-valuetext=${told}
        onInput=${(event) => setAt(Number(event.target.value))} />
    </div>
    <figcaption class="row spread"><span class="dim">${t("compare.hint")}</span>
      <${Button} kind="quiet" class="small" aria-pressed=${near ? "true" : "false"} icon="search" onClick=${look}>${t("compare.near")}</></figcaption>
  </figure>`;
}
