// #/pictures: pictures made and changed, as callers have it: POST /v1/images/generations and /v1/images/edits.
import { effect, html, signal, useEffect, useRef } from "../lib.js";
import { Failure, send } from "../api.js";
import { bytes, has, number, seconds, t } from "../i18n.js";
import { phase, time, word } from "../live.js";
import { Button, Empty, ErrorBox, Field, Icon, Loading, Tag } from "../ui.js";
import { Compare } from "./parts/compare.js";
import { CopyButton } from "./parts/copy.js";
import { blobOf, isPicture, originOf, ownLink, picturesIn } from "./parts/files.js";
import { AskedWhom, ModelOptions, loadModels, models, newRequestId } from "./parts/models.js";
import { Told } from "./parts/told.js";

const KEPT = 6; // results; each holds its picture in memory
const SHAPES = ["1:1", "16:9", "9:16", "4:3", "3:4"];
const SIZES = ["1K", "2K", "4K"];

// A result: {id, request, wish, file, url, facts, origin, seconds, input, twin}; wish: {prompt, model, shape, size, watermark};
// facts: as the gateway told; input: {url, name} of what was changed; twin: {url, watermark} of the same wish with the logo
// the other way.
const results = signal([]);
const wish = signal({ prompt: "", model: "", shape: "", size: "", watermark: "remove" });
const input = signal(null); // {file, url, name}
const unfit = signal(""); // name of a file that was chosen and is no picture
const run = signal(null); // {begun, giveUp, twinOf} while one is made
const failed = signal(null); // {error, id, retry}
const said = signal("");
let last = 0;

effect(() => {
  if (phase.value === "login" && word.value === "left") forget();
});

function forget() {
  run.peek()?.giveUp.abort();
  results.value = [];
  input.value = null;
  failed.value = null;
}

export default function Pictures() {
  useEffect(() => {
    loadModels();
  }, []);
  const found = models.value;
  return html`<div class="stack">
    <h1>${t("nav.pictures")}</h1>
    ${found === null && html`<${Loading} />`}
    ${found?.error && html`<${ErrorBox} error=${found.error} retry=${loadModels} />`}
    ${found?.models && html`<div class="studio"><${Order} /><div class="stack">
      ${failed.value && html`<${Told} ...${failed.value} />`}
      ${run.value && html`<${Working} />`}
      ${results.value.map((one) => html`<${Result} key=${one.id} one=${one} />`)}
      ${!results.value.length && !run.value && !failed.value && html`<div class="card"><${Empty} title=${t("pics.empty")}>${t("pics.empty.next")}</></div>`}
    </div></div>`}
    <p class="unseen" role="status">${said.value}</p>
  </div>`;
}

function Order() {
  const file = useRef(null);
  const now = wish.value;
  const put = (change) => (wish.value = { ...wish.value, ...change });
  const text = (name) => (event) => put({ [name]: event.target.value });
  const take = async (files, event) => {
    if (!files.length) return;
    event.preventDefault();
    const [one] = files;
    if (await isPicture(one)) setInput(one, one.name);
    else unfit.value = one.name;
  };
  const submit = (event) => {
    event.preventDefault();
    if (!run.value && now.prompt.trim()) make({ ...now, model: now.model || models.value.default_image }, input.value);
  };
  return html`<form class="card order" onSubmit=${submit} onPaste=${(event) => take(picturesIn(event.clipboardData), event)}
    onDragOver=${(event) => event.preventDefault()} onDrop=${(event) => take([...event.dataTransfer.files], event)}>
    <div class="field"><span class="legend">${t("pics.input")}</span>
      ${input.value
        ? html`<div class="row"><img class="thumb" src=${input.value.url} alt=${input.value.name} /><span class="grow">${input.value.name}</span>
            <${Button} kind="quiet" icon="close" onClick=${() => setInput(null)}>${t("pics.input.drop")}</></div>`
        : html`<p class="row"><${Button} icon="attach" onClick=${() => file.current.click()}>${t("pics.input.choose")}</>
            ${results.value[0] && html`<${Button} kind="quiet" onClick=${() => useResult(results.value[0])}>${t("pics.input.last")}</>`}</p>
            <p class="hint">${t("pics.input.hint")}</p>`}
      ${unfit.value && html`<p key=${unfit.value} class="error" role="alert"><${Icon} name="warn" /> ${t("pics.input.unfit", { name: unfit.value })}</p>`}
      <input ref=${file} type="file" class="unseen" tabindex="-1" aria-hidden="true" accept="image/*"
        onChange=${(event) => {
          take([...event.target.files], event);
          event.target.value = "";
        }} /></div>
    <${Field} label=${t(input.value ? "pics.prompt.edit" : "pics.prompt")}>${(props) => html`<textarea rows="3" ...${props} value=${now.prompt}
      placeholder=${t(input.value ? "pics.prompt.edit.hint" : "pics.prompt.hint")} onInput=${text("prompt")}
      onKeyDown=${(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit(event)} />`}</>
    <${Field} label=${t("play.model")}>${(props) => html`<select ...${props} value=${now.model || models.value.default_image} onChange=${text("model")}>
      <${ModelOptions} kinds=${["image"]} /></select>`}</>
    <div class="pair">
      <${Field} label=${t("pics.shape")}>${(props) => html`<select ...${props} value=${now.shape} onChange=${text("shape")}>
        <option value="">${t("pics.free")}</option>${SHAPES.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`}</>
      <${Field} label=${t("pics.size")}>${(props) => html`<select ...${props} value=${now.size} onChange=${text("size")}>
        <option value="">${t("pics.size.model")}</option>${SIZES.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}</select>`}</>
    </div>
    <fieldset><legend class="legend">${t("pics.logo")}</legend>
      ${["remove", "keep"].map((one) => html`<label key=${one} class="check"><input type="radio" name="watermark" checked=${now.watermark === one}
        onChange=${() => put({ watermark: one })} /> ${t(`pics.logo.${one}`)}</label>`)}</fieldset>
    <p class="row"><button type="submit" class="button main wide" aria-disabled=${run.value || !now.prompt.trim() ? "true" : undefined}>
      <span>${t(input.value ? "pics.edit" : "pics.make")}</span></button></p>
  </form>`;
}

function setInput(file, name = "") {
  if (input.value) URL.revokeObjectURL(input.value.url);
  unfit.value = "";
  input.value = file && { file, name, url: URL.createObjectURL(file) };
}

function useResult(one) {
  setInput(one.file, one.name);
  wish.value = { ...wish.value, prompt: "" };
  document.querySelector(".order textarea")?.focus();
}

function Working() {
  return html`<div class="card row" role="status"><span class="spin" aria-hidden="true" /><span class="grow">${t("pics.working")} <${Elapsed} since=${run.value.begun} /></span>
    <${Button} icon="stop" onClick=${() => run.value.giveUp.abort()}>${t("play.stop")}</></div>`;
}

function Elapsed({ since }) {
  time.value; // counts on
  return html`<span class="dim number" aria-hidden="true">${seconds(Math.max(1, Math.round((performance.now() - since) / 1000)))}</span>`;
}

function Result({ one }) {
  const { facts, wish: asked } = one;
  const shown = { url: one.url, label: one.input ? t("pics.result") : label(facts.watermark) };
  const other = one.twin ? { url: one.twin.url, label: label(one.twin.watermark) } : one.input && { url: one.input.url, label: t("pics.before") };
  // The logo stays on the left, whichever of the two was made first.
  const pair = other && (one.twin && facts.watermark === "kept" ? [shown, other] : [other, { ...shown, label: one.twin ? label(facts.watermark) : shown.label }]);
  return html`<article class="card result">
    <h2>${asked.prompt}</h2>
    ${pair ? html`<${Compare} before=${pair[0]} after=${pair[1]} />` : html`<a class="whole" href=${one.url} target="_blank"><img src=${one.url} alt=${asked.prompt} /></a>`}
    <dl class="facts">
      ${fact("pics.fact.size", sizeOf(facts))}
      ${fact("pics.fact.logo", html`<${Tag} kind=${logoKind(facts.watermark)}>${label(facts.watermark)}</>`)}
      ${fact("pics.fact.origin", one.origin === "" ? html`<${Tag} kind="warn">${t("pics.origin.none")}</>` : html`<${Tag} kind="good">${t("pics.origin.ai")}</> <span class="mono dim">DigitalSourceType=${one.origin}</span>`, "wide")}
      ${fact("pics.fact.file", `${facts.mime_type} · ${bytes(one.file.size)}`)}
      ${fact("pics.fact.model", asked.model)}
      ${fact("pics.fact.time", seconds(one.seconds))}
      ${fact("pics.fact.request", html`<span class="mono">${one.request}</span> <${CopyButton} text=${one.request} what=${t("play.copy.id")} bare /> <${AskedWhom} id=${one.request} />`, "wide")}
    </dl>
    <p class="row">
      <a class="button" href=${one.url} download=${one.name}><${Icon} name="download" /><span>${t("pics.download")}</span></a>
      <${Button} onClick=${() => useResult(one)}>${t("pics.change")}</>
      ${!one.twin && ["removed", "kept"].includes(facts.watermark) && html`<${Button} busy=${run.value?.twinOf === one.id} disabled=${Boolean(run.value)}
        onClick=${() => makeTwin(one)}>${t(facts.watermark === "kept" ? "pics.twin.removed" : "pics.twin.kept")}</>`}
    </p>
    ${!one.twin && ["removed", "kept"].includes(facts.watermark) && html`<p class="hint">${t("pics.twin.hint")}</p>`}
  </article>`;
}

const fact = (word, value, wide = "") => html`<div class=${wide}><dt>${t(word)}</dt><dd>${value}</dd></div>`;
const label = (verdict) => (has(`logo.${verdict}`) ? t(`logo.${verdict}`) : verdict || "–");
const logoKind = (verdict) => ({ removed: "good", kept: "note", no_logo: "good", failed: "bad" })[verdict] ?? "warn";

function sizeOf(facts) {
  if (!facts.width) return "–";
  const measured = `${facts.width} × ${facts.height}`;
  const more = [facts.resolution, t("pics.pixels", { n: number((facts.width * facts.height) / 1e6) }), facts.upscaled_from && t("pics.upscaled", { size: facts.upscaled_from })];
  return [measured, ...more].filter(Boolean).join(" · ");
}

/** Ask for one picture. Resolves to {file, facts, origin, request, seconds}. */
async function drawn(asked, given, signal) {
  const request = newRequestId();
  const fields = { prompt: asked.prompt, model: asked.model, watermark: asked.watermark, response_format: "b64_json" };
  if (asked.size) fields.size = asked.size;
  if (asked.shape) fields.aspect_ratio = asked.shape;
  let [path, body] = ["/v1/images/generations", fields];
  if (given) {
    path = "/v1/images/edits";
    body = new FormData();
    for (const [name, value] of Object.entries(fields)) body.append(name, value);
    body.append("image", given.file, given.name);
  }
  const begun = performance.now();
  try {
    const response = await send("POST", path, body, { signal, headers: { "x-request-id": request } });
    const [facts] = (await response.json()).data;
    const file = facts.b64_json ? blobOf(facts.b64_json, facts.mime_type) : await (await fetch(ownLink(facts.url) || facts.url)).blob();
    delete facts.b64_json;
    return { request, file, facts, origin: await originOf(file), seconds: (performance.now() - begun) / 1000 };
  } catch (error) {
    if (error instanceof Failure) throw Object.assign(error, { request });
    // The connection broke, or was given up, while the answer came.
    throw Object.assign(new Failure({ code: signal.aborted ? "aborted" : "broken", aborted: signal.aborted }), { request });
  }
}

/** Run `task` with what gives it up; its failure is told where results are. */
async function during(task, again, twinOf = 0) {
  const giveUp = new AbortController();
  run.value = { begun: performance.now(), giveUp, twinOf };
  failed.value = null;
  said.value = t("pics.working");
  try {
    await task(giveUp.signal);
    said.value = t("pics.done");
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    said.value = error.aborted ? t("pics.stopped") : "";
    if (!error.aborted) failed.value = { error, id: error.request, retry: again };
  } finally {
    run.value = null;
  }
}

function make(asked, given) {
  return during(
    async (signal) => {
      const made = await drawn(asked, given, signal);
      const ending = made.facts.mime_type.split("/")[1].replace("jpeg", "jpg");
      const one = {
        ...{ id: ++last, wish: asked, twin: null, url: URL.createObjectURL(made.file), name: `${made.request}.${ending}` },
        // A copy, since the form gives its own up.
        ...{ input: given && { file: given.file, name: given.name, url: URL.createObjectURL(given.file) }, ...made },
      };
      for (const old of results.value.slice(KEPT - 1)) for (const each of [old, old.input, old.twin]) if (each) URL.revokeObjectURL(each.url);
      results.value = [one, ...results.value.slice(0, KEPT - 1)];
    },
    () => make(asked, given),
  );
}

/** The same wish once more, with the logo the other way. */
function makeTwin(one) {
  const asked = { ...one.wish, watermark: one.facts.watermark === "kept" ? "remove" : "keep" };
  return during(
    async (signal) => {
      const made = await drawn(asked, one.input, signal);
      const twin = { url: URL.createObjectURL(made.file), watermark: made.facts.watermark };
      results.value = results.value.map((each) => (each.id === one.id ? { ...each, twin } : each));
    },
    () => makeTwin(one),
    one.id,
  );
}
