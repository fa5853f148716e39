// #/batches/ID: one batch as it happens, told by GET /v1/batch/{id}/events.
import { effect, html, useEffect, useRef, useState } from "../../lib.js";
import { Failure, del, events } from "../../api.js";
import { has, lang, number, plural, t } from "../../i18n.js";
import { asleep, link } from "../../live.js";
import { Button, Empty, ErrorBox, Icon, Loading, Tag, Time, confirm, says, toast } from "../../ui.js";
import { Progress, State, ended, secondsOf, waitsFor } from "./batchlook.js";
import { CopyButton } from "./copy.js";
import { ownLink } from "./files.js";
import { Prose } from "./prose.js";
import { Told } from "./told.js";

const SHOWN = 12; // results at once: the pictures are whole files, a megabyte and more each
const RETRY = 2000; // ms

const orders = new Map(); // prompts of batches that were ordered here: the gateway does not tell them again

export const remember = (id, prompts) => orders.set(id, prompts);

/** Follow the batch's events into `tell(change)` until it has ended or `signal` gives up. Reconnects where it was. */
async function follow(id, tell, signal) {
  let after = 0;
  while (!signal.aborted) {
    const attempt = new AbortController();
    const leave = () => attempt.abort();
    signal.addEventListener("abort", leave);
    // The page's own link hears every few seconds whether the gateway is there; a stream of events may be silent for long.
    const unlink = effect(() => (link.value === "lost" || asleep.value) && leave());
    try {
      for await (const { event, data, id: at } of events(`/v1/batch/${encodeURIComponent(id)}/events?after=${after}`, undefined, { signal: attempt.signal })) {
        if (at) after = Number(at);
        const told = JSON.parse(data);
        if (event === "failure") throw new Failure(told.error);
        tell({ event, told });
        if (event === "done") return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Failure)) throw error;
      if (!asleep.value) tell({ event: "lost", told: error.aborted ? new Failure({ code: "unreachable" }) : error });
      if (error.status >= 400 && error.status < 500 && error.status !== 429) return;
    } finally {
      unlink();
      signal.removeEventListener("abort", leave);
    }
    if (asleep.value) await awake();
    else await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}

const awake = () =>
  new Promise((resolve) => {
    const end = asleep.subscribe((still) => still || setTimeout(() => resolve(end())));
  });

export function Watched({ id }) {
  const [batch, setBatch] = useState(null);
  const [tasks, setTasks] = useState([]); // results and problems in the order in which they came
  const [error, setError] = useState(null);
  const [most, setMost] = useState(SHOWN);
  const [round, setRound] = useState(0);
  const [cancelling, setCancelling] = useState(false);
  const live = useRef(null); // whether it ran when we came: then what ends last is shown first
  useEffect(() => {
    const giveUp = new AbortController();
    let fresh = [];
    let drawn = 0;
    setTasks([]);
    setError(null);
    const draw = () => {
      const more = fresh;
      fresh = [];
      drawn = 0;
      if (more.length) setTasks((all) => [...all, ...more]);
    };
    const tell = ({ event, told }) => {
      if (event === "lost") {
        setError(told);
        return;
      }
      setError(null);
      if (event === "progress" || event === "done") {
        if (live.current === null) live.current = !ended(told);
        setBatch(told);
      } else fresh.push({ ...told, ok: event === "result" });
      drawn ||= setTimeout(draw, 50); // ten thousand come at once where a large one is looked at late
      if (event === "done") {
        clearTimeout(drawn);
        draw();
      }
    };
    follow(id, tell, giveUp.signal);
    return () => {
      giveUp.abort();
      clearTimeout(drawn);
    };
  }, [id, round]);
  const cancel = async () => {
    const body = plural("batch.cancel.body", batch.pending);
    if (!(await confirm({ title: t("batch.cancel.title"), body, action: t("batch.cancel"), keep: t("batch.cancel.keep"), danger: true }))) return;
    setCancelling(true);
    try {
      const told = await del(`/v1/batch/${encodeURIComponent(id)}`);
      toast(t("batch.cancelled"), "good");
      setBatch((known) => (known && ended(known) ? known : told));
    } catch (failure) {
      toast(says(failure), "bad");
    } finally {
      setCancelling(false);
    }
  };
  // The heading is the same element before and after the first word of the batch: it has the focus.
  const head = html`<p><a class="backlink" href="#/batches"><${Icon} name="back" /><span>${t("batch.all")}</span></a></p>
    <header class="row spread"><div class="row"><h1>${batch ? `${t(`batch.kind.${batch.kind}`)} · ${plural("batch.prompts", batch.total)}` : t("batch.title")}</h1>
      ${batch && html`<${State} state=${batch.status} />`}</div>
      ${batch && !ended(batch) && batch.status !== "cancelling" && html`<${Button} busy=${cancelling} onClick=${cancel}>${t("batch.cancel")}</>`}</header>`;
  if (!batch) return html`<div class="stack">${head}${error?.status === 404 ? html`<p class="banner warn" role="alert"><${Icon} name="warn" /><span>${t("batch.gone")}</span></p>` : error ? html`<${Told} error=${error} retry=${() => setRound((n) => n + 1)} />` : html`<${Loading} />`}</div>`;
  const results = tasks.filter((one) => one.ok);
  const errors = tasks.filter((one) => !one.ok).sort((a, b) => a.index - b.index);
  if (live.current) results.reverse();
  else results.sort((a, b) => a.index - b.index);
  return html`<div class="stack">
    ${head}
    ${error && html`<${ErrorBox} error=${error} />`}
    <section class="card">
      <${Progress} batch=${batch} />
      ${batch.why && html`<p class="why" role="status"><${Icon} name="note" /> ${waitsFor(batch.why)}</p>`}
      <dl class="facts">
        ${fact("play.model", html`<span class="mono">${batch.model}</span>`)}
        ${fact("batch.concurrency", number(batch.concurrency))}
        ${fact("batch.created", html`<${Time} at=${secondsOf(batch.created_at)} />`)}
        ${batch.ended_at && fact("batch.ended", html`<${Time} at=${secondsOf(batch.ended_at)} />`)}
        ${fact("batch.id", html`<span class="mono">${batch.batch_id}</span> <${CopyButton} text=${batch.batch_id} what=${t("batch.copy.id")} bare />`, "wide")}
      </dl>
    </section>
    ${errors.length > 0 && html`<section class="card"><h2>${plural("batch.errors", errors.length)}</h2>
      <ul class="stack tight">${errors.slice(0, most).map((one) => html`<${Problem} key=${one.index} one=${one} id=${id} />`)}</ul></section>`}
    <section class="stack" aria-label=${t("batch.results")}><h2>${plural("batch.results.count", results.length)}</h2>
      ${!results.length && html`<div class="card"><${Empty} title=${t(ended(batch) ? "batch.results.none" : "batch.results.yet")}>${ended(batch) ? "" : t("batch.results.yet.next")}</></div>`}
      <ul class=${batch.kind === "images" ? "gallery" : "stack"}>${results.slice(0, most).map((one) =>
        batch.kind === "images" ? html`<${Made} key=${one.index} one=${one} id=${id} />` : html`<${Written} key=${one.index} one=${one} id=${id} />`)}</ul>
      ${Math.max(results.length, errors.length) > most && html`<p><${Button} onClick=${() => setMost(most + SHOWN)}>${t("batch.more")}</></p>`}
    </section>
  </div>`;
}

const fact = (word, value, wide = "") => html`<div class=${wide}><dt>${t(word)}</dt><dd>${value}</dd></div>`;
const promptOf = (id, one) => orders.get(id)?.[one.index] ?? "";

function Problem({ one, id }) {
  return html`<li class="problem"><span class="number dim">${t("batch.nr", { n: one.index + 1 })}</span>
    <div class="stack tight">${promptOf(id, one) && html`<p class="dim">${promptOf(id, one)}</p>`}<p>${one.message}</p>
    <p class="dim">${lang.value !== "en" && has(`outcome.${one.code}`) && `${t(`outcome.${one.code}`)} · `}<span class="mono">${one.code}</span> · ${plural("batch.tries", one.tries)}</p></div></li>`;
}

function Made({ one, id }) {
  const [gone, setGone] = useState(false);
  const prompt = promptOf(id, one);
  const name = prompt || t("batch.picture", { n: one.index + 1 });
  const source = one.url && (ownLink(one.url) || one.url);
  return html`<li class="card shot">
    ${source && !gone
      ? html`<a href=${source} target="_blank" rel="noopener"><img src=${source} alt=${name} loading="lazy" decoding="async" onError=${() => setGone(true)} /></a>`
      : html`<div class="gone dim">${one.message ?? t("batch.swept")}</div>`}
    ${prompt && html`<p class="two">${prompt}</p>`}
    <p class="row dim"><span class="number">${t("batch.nr", { n: one.index + 1 })}</span>${one.size && html`<span>${one.size.replace("x", " × ")}</span>`}
      ${one.tries > 1 && html`<${Tag} kind="warn">${plural("batch.tries", one.tries)}</>`}
      ${source && html`<a href=${source} target="_blank" rel="noopener" aria-label=${t("batch.open.of", { n: one.index + 1 })}>${t("batch.open")}</a>`}</p></li>`;
}

function Written({ one, id }) {
  return html`<li class="card"><header><span class="number dim">${t("batch.nr", { n: one.index + 1 })}</span><span class="strong grow">${promptOf(id, one)}</span>
    ${one.tries > 1 && html`<${Tag} kind="warn">${plural("batch.tries", one.tries)}</>`}
    ${one.text && html`<${CopyButton} text=${one.text} what=${t("batch.copy.of", { n: one.index + 1 })} />`}</header>
    ${one.text === undefined ? html`<p>${one.message}</p>` : html`<${Prose} text=${one.text} />`}</li>`;
}
