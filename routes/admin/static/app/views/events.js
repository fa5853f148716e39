// What happened lately: changes of state, probes, rotations, cookies, alerts and what people did, over all replicas.
import { html, useSignal } from "../lib.js";
import { plural, t } from "../i18n.js";
import { happened } from "../live.js";
import { go } from "../router.js";
import { Line, folded } from "../telling.js";
import { Button, Empty, Icon } from "../ui.js";

const PAGE = 100;
/** What the choices stand for; the routine of probes and rotations that went well is left out unless asked for. */
const CHOICES = {
  notable: (entry) => !((entry.kind === "probe" && entry.outcome === "well") || (entry.kind === "rotation" && entry.outcome === "ok")),
  all: () => true,
  state: (entry) => entry.kind === "state",
  care: (entry) => entry.kind === "probe" || entry.kind === "rotation" || entry.kind === "cookies",
  people: (entry) => entry.kind === "operator" || entry.kind === "cookies",
  alert: (entry) => entry.kind === "alert",
  system: (entry) => entry.kind === "config" || entry.kind === "leader" || entry.kind === "replica",
};

export default function Events({ route }) {
  const shown = useSignal(PAGE);
  const { show = "notable", q = "" } = route.query;
  const word = q.trim().toLowerCase();
  const fits = CHOICES[show] || CHOICES.notable;
  const found = folded(happened.value.filter((entry) => fits(entry) && (!word || `${entry.account} ${entry.outcome} ${entry.detail} ${entry.replica}`.toLowerCase().includes(word))));
  const set = (changed) => {
    const kept = Object.entries({ show, q, ...changed }).filter(([key, value]) => value && !(key === "show" && value === "notable"));
    go(`/events${kept.length ? `?${new URLSearchParams(kept)}` : ""}`, { replace: true });
  };
  return html`<h1>${t("nav.events")}</h1>
    <div class="filters">
      <div class="choicebar" role="group" aria-label=${t("events.kinds")}>${Object.keys(CHOICES).map((one) =>
        html`<button key=${one} type="button" class="choice" aria-pressed=${show === one ? "true" : "false"} onClick=${() => set({ show: one })}>${t(`events.show.${one}`)}</button>`)}</div>
      <label class="search"><span class="unseen">${t("events.search")}</span><${Icon} name="search" />
        <input type="search" value=${q} placeholder=${t("events.search")} onInput=${(event) => set({ q: event.target.value })} /></label>
    </div>
    <p class="unseen" role="status">${plural("events.found", found.length)}</p>
    ${found.length
      ? html`<section class="card"><ol class="log">${found.slice(0, shown.value).map((entry) => html`<${Line} key=${`${entry.at}${entry.account}${entry.kind}${entry.outcome}`} entry=${entry} />`)}</ol></section>
        ${found.length > shown.value && html`<${Button} onClick=${() => (shown.value += PAGE)}>${t("ui.more", { n: Math.min(PAGE, found.length - shown.value) })}</>`}`
      : html`<${Empty} title=${t(happened.value.length ? "events.nothing" : "lately.empty")}>${happened.value.length > 0 && show === "notable" ? t("events.quiet") : null}</>`}`;
}
