// #/batches: work for later. The list, and where a new one is ordered; #/batches/ID: one of them as it happens.
import { effect, html, signal, useEffect, useState } from "../lib.js";
import { get, post } from "../api.js";
import { own, plural, t } from "../i18n.js";
import { back, now, phase, word } from "../live.js";
import { go, href } from "../router.js";
import { Button, Dialog, Empty, ErrorBox, Field, Icon, Loading, Time, toast } from "../ui.js";
import { Progress, State, ended, secondsOf, waitsFor } from "./parts/batchlook.js";
import { ModelOptions, loadModels, models, newKey } from "./parts/models.js";
import { Told, named } from "./parts/told.js";
import { Watched, remember } from "./parts/watched.js";

const LISTED = 10;
const AGAIN = 2500; // ms between two looks at a list of which something is under way
const STATES = ["queued", "running", "completed", "failed", "cancelling", "cancelled"];

const ordering = signal(false);

const most = signal(null); // tasks of a batch that may run at once: the gateway tells the bound only to who passes it

// What is being ordered: it outlives a closed form and the end of a session.
const order = signal(blank());

function blank() {
  return { key: newKey(), kind: "images", text: "", fields: { model: "", concurrency: "", size: "", watermark: "remove" } };
}

effect(() => {
  if (phase.value !== "login" || word.value !== "left") return;
  ordering.value = false;
  order.value = blank();
});

export default function Batches({ route }) {
  return route.parts[1] ? html`<${Watched} key=${route.parts[1]} id=${route.parts[1]} />` : html`<${List} query=${route.query} />`;
}

function List({ query }) {
  const [page, setPage] = useState(null);
  const [error, setError] = useState(null);
  const [round, setRound] = useState(0);
  const { after = "", status = "" } = query;
  const moves = page?.batches.some((one) => !ended(one));
  const open = now.value?.batches_open; // also tells of batches that others have ordered
  useEffect(() => {
    setPage(null);
  }, [after, status]);
  useEffect(() => {
    const giveUp = new AbortController();
    const asked = new URLSearchParams({ limit: LISTED, ...(after && { after }), ...(status && { status }) });
    get(`/v1/batch?${asked}`, { signal: giveUp.signal }).then(
      (found) => {
        setPage(found);
        setError(null);
      },
      (failure) => failure.aborted || setError(failure),
    );
    return () => giveUp.abort();
  }, [after, status, round, open, back.value]);
  useEffect(() => {
    if (!moves) return undefined;
    const timer = setInterval(() => document.visibilityState === "visible" && setRound((n) => n + 1), AGAIN);
    return () => clearInterval(timer);
  }, [moves]);
  const filter = (event) => go(`/batches${event.target.value ? `?status=${event.target.value}` : ""}`);
  return html`<div class="stack">
    <header class="row spread"><h1>${t("nav.batches")}</h1>
      <div class="row"><label class="pick"><span class="unseen">${t("batch.filter")}</span>
        <select value=${status} onChange=${filter}><option value="">${t("batch.filter.all")}</option>
          ${STATES.map((one) => html`<option key=${one} value=${one}>${t(`batch.state.${one}`)}</option>`)}</select></label>
      <${Button} kind="main" onClick=${() => (ordering.value = true)}>${t("batch.new")}</></div></header>
    <p class="dim">${t("batch.about")}</p>
    ${error && html`<${ErrorBox} error=${error} retry=${() => setRound((n) => n + 1)} />`}
    ${!page && !error && html`<${Loading} />`}
    ${page && !page.batches.length && html`<div class="card"><${Empty} title=${t(status ? "batch.none.such" : "batch.none")}>${t(status ? "batch.none.such.next" : "batch.none.next")}</></div>`}
    ${page && html`<ul class="stack">${page.batches.map((one) => html`<${Entry} key=${one.batch_id} batch=${one} />`)}</ul>`}
    ${page && (after || page.has_more) && html`<nav class="row spread" aria-label=${t("batch.pages")}>
      ${after ? html`<a class="button" href=${place("", status)}><${Icon} name="back" /><span>${t("batch.newest")}</span></a>` : html`<span />`}
      ${page.total !== undefined && html`<span class="dim">${plural("batch.total", page.total)}</span>`}
      ${page.has_more ? html`<a class="button" href=${place(page.next, status)}><span>${t("batch.older")}</span><${Icon} name="next" /></a>` : html`<span />`}</nav>`}
    <${Dialog} open=${ordering.value} title=${t("batch.new")} onClose=${() => (ordering.value = false)}><${Order} /></>
  </div>`;
}

function place(after, status) {
  const query = new URLSearchParams({ ...(after && { after }), ...(status && { status }) }).toString();
  return `#/batches${query ? `?${query}` : ""}`;
}

function Entry({ batch }) {
  return html`<li class="card batch">
    <header><h2><a href=${href("/batches", batch.batch_id)}>${t(`batch.kind.${batch.kind}`)} · ${plural("batch.prompts", batch.total)}</a></h2>
      <${State} state=${batch.status} /><span class="grow" /><span class="dim"><${Time} at=${secondsOf(batch.created_at)} /></span></header>
    <${Progress} batch=${batch} />
    ${batch.why && html`<p class="why"><${Icon} name="note" /> ${waitsFor(batch.why)}</p>`}
    <p class="dim mono">${batch.model} · ${batch.batch_id}</p></li>`;
}

function Order() {
  const { key, kind, text, fields } = order.value; // key: a repeat after a lost answer makes no second batch
  const [error, setError] = useState(null);
  const set = (changed) => {
    order.value = { ...order.value, ...changed };
    setError(null); // what was refused is another order
  };
  const [busy, setBusy] = useState(false);
  const lines = text.split("\n").flatMap((line, at) => (line.trim() ? [{ prompt: line.trim(), line: at + 1 }] : []));
  const put = (name) => (event) => set({ fields: { ...fields, [name]: event.target.value } });
  useEffect(() => {
    loadModels();
  }, []);
  const submit = async (event) => {
    event.preventDefault();
    if (busy || !lines.length) return;
    const prompts = lines.map((one) => one.prompt);
    const body = { prompts };
    if (fields.model) body.model = fields.model;
    if (fields.concurrency) body.concurrency = Number(fields.concurrency);
    if (kind === "images" && fields.size) body.size = fields.size;
    if (kind === "images") body.watermark = fields.watermark;
    setError(null);
    const bound = most.value ?? Infinity;
    if (fields.concurrency && !(Number.isInteger(body.concurrency) && body.concurrency >= 1 && body.concurrency <= bound)) {
      setError({ param: "concurrency" });
      return;
    }
    setBusy(true);
    try {
      // Another order under the same key would be refused, so the key says what is ordered.
      const made = await post(`/v1/batch/${kind}`, body, { headers: { "idempotency-key": `${key}-${digest(JSON.stringify([kind, body]))}` } });
      remember(made.batch_id, prompts);
      ordering.value = false;
      order.value = blank();
      toast(plural("batch.taken", made.total), "good");
      go(`/batches/${made.batch_id}`);
    } catch (failure) {
      const [, told] = (failure.param === "concurrency" && /from 1 to (\d+)/.exec(failure.message)) || [];
      if (told) most.value = Number(told);
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  const found = models.value;
  if (!found) return html`<${Loading} />`;
  if (found.error) return html`<${ErrorBox} error=${found.error} retry=${loadModels} />`;
  const wrong = error && /^prompts\[(\d+)\]/.exec(error.param);
  const inWords = () => own(named(error), error.code === "invalid_request" ? "" : `outcome.${error.code}`);
  const field = (name) => (error?.param === name ? inWords() : "");
  const bounds = most.value === null ? t("batch.concurrency.least") : t("batch.concurrency.bounds", { most: most.value });
  return html`<form class="stack" novalidate onSubmit=${submit}>
    <fieldset class="row"><legend class="legend">${t("batch.kind")}</legend>
      ${["images", "chat"].map((one) => html`<label key=${one} class="check"><input type="radio" name="kind" checked=${kind === one}
        onChange=${() => set({ kind: one, fields: { ...fields, model: "" } })} /> ${t(`batch.kind.${one}`)}</label>`)}</fieldset>
    <${Field} label=${t("batch.prompts.label")} hint=${lines.length ? plural("batch.prompts", lines.length) : t("batch.prompts.hint")}
      error=${wrong ? t("batch.line", { line: lines[Number(wrong[1])]?.line ?? "?", message: inWords() }) : field("prompts")}>
      ${(props) => html`<textarea rows="7" ...${props} value=${text} onInput=${(event) => set({ text: event.target.value })} />`}</>
    <${Field} label=${t("play.model")} error=${field("model")}>${(props) => html`<select key=${kind} ...${props} value=${fields.model || (kind === "images" ? found.default_image : found.default)} onChange=${put("model")}>
      <${ModelOptions} kinds=${[kind === "images" ? "image" : "text"]} /></select>`}</>
    <div class="pair">
      <${Field} label=${t("batch.concurrency")} hint=${t("batch.concurrency.hint")} error=${error?.param === "concurrency" ? bounds : ""}>${(props) =>
        html`<input type="number" min="1" max=${most.value ?? undefined} inputmode="numeric" placeholder="2" ...${props} value=${fields.concurrency} onInput=${put("concurrency")} />`}</>
      ${kind === "images" && html`<${Field} label=${t("pics.size")} error=${field("size")}>${(props) => html`<select ...${props} value=${fields.size} onChange=${put("size")}>
        <option value="">${t("pics.size.model")}</option>${["1K", "2K", "4K"].map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`}</>`}
    </div>
    ${kind === "images" && html`<label class="check"><input type="checkbox" checked=${fields.watermark === "keep"}
      onChange=${(event) => set({ fields: { ...fields, watermark: event.target.checked ? "keep" : "remove" } })} /> ${t("batch.logo.keep")}</label>`}
    ${error && !wrong && !["prompts", "model", "concurrency", "size"].includes(error.param) && html`<${Told} error=${error} />`}
    <div class="row end"><${Button} onClick=${() => (ordering.value = false)}>${t("ui.cancel")}</>
      <button type="submit" class="button main" aria-disabled=${busy || !lines.length ? "true" : undefined}><span>${t("batch.order")}</span>${busy && html`<span class="spin" role="img" aria-label=${t("ui.busy")} />`}</button></div>
  </form>`;
}

/** A short name for a text. Two texts of one person's order do not share it by chance. */
function digest(text) {
  let [a, b] = [0xdeadbeef, 0x41c6ce57];
  for (let i = 0; i < text.length; i++) {
    a = Math.imul(a ^ text.charCodeAt(i), 2654435761);
    b = Math.imul(b ^ text.charCodeAt(i), 1597334677);
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}
