// #/play: a chat with any model, as callers have it: POST /v1/chat/completions, streamed.
import { effect, html, signal, useEffect, useRef } from "../lib.js";
import { Failure, events } from "../api.js";
import { seconds, t } from "../i18n.js";
import { phase, word } from "../live.js";
import { href } from "../router.js";
import { Button, ErrorBox, Icon, Loading, toast } from "../ui.js";
import { CopyButton, copy } from "./parts/copy.js";
import { dataUrlOf, isPicture, picturesIn } from "./parts/files.js";
import { AskedWhom, ModelOptions, loadModels, models, newRequestId } from "./parts/models.js";
import { Prose } from "./parts/prose.js";
import { Told } from "./parts/told.js";

// The conversation outlives a look at another view. An answer: {id, request, model, text, thoughts, pictures, state, error,
// first, seconds, usage}; state: "waiting", "coming", "done", "stopped", "failed". A question: {id, text, pictures}.
const turns = signal([]);
const draft = signal("");
const attached = signal([]);
const model = signal("");
const thinks = signal(false);
const said = signal("");
let running = null;
let last = 0;

effect(() => {
  // The next person has a conversation of their own; who signs in again after the session's end goes on with it.
  if (phase.value === "login" && word.value === "left") forget();
});

function forget() {
  running?.abort();
  turns.value = [];
  draft.value = "";
  attached.value = [];
}

export default function Play() {
  useEffect(() => {
    loadModels();
  }, []);
  const found = models.value;
  return html`<div class="stack play">
    <header class="row spread"><h1>${t("nav.play")}</h1>
      ${turns.value.length > 0 && html`<${Button} kind="quiet" onClick=${forget}>${t("play.new")}</>`}</header>
    ${found === null && html`<${Loading} />`}
    ${found?.error && html`<${ErrorBox} error=${found.error} retry=${loadModels} />`}
    ${found?.models && html`<${Talk} /><${Composer} />`}
    <p class="unseen" role="status">${said.value}</p>
  </div>`;
}

function Talk() {
  const follows = useRef(true); // until the person scrolls up to read
  const count = turns.value.length;
  const { text, state } = turns.value.at(-1) ?? {};
  useEffect(() => {
    const look = () => (follows.current = document.documentElement.scrollHeight - innerHeight - scrollY < 120);
    addEventListener("scroll", look, { passive: true });
    return () => removeEventListener("scroll", look);
  }, []);
  useEffect(() => {
    if (count) scrollTo(0, document.documentElement.scrollHeight);
  }, [count]);
  useEffect(() => {
    if (count && follows.current) scrollTo(0, document.documentElement.scrollHeight);
  }, [text, state]);
  if (!count)
    return html`<div class="starters"><p class="dim">${t("play.empty")}</p>
      ${["1", "2", "3"].map((n) => html`<${Button} key=${n} onClick=${() => ask(t(`play.try.${n}`), [])}>${t(`play.try.${n}`)}</>`)}
      <p class="dim">${t("play.empty.pictures")} <a href=${href("/pictures")}>${t("nav.pictures")}</a></p></div>`;
  return html`<section class="talk" aria-label=${t("play.talk")}>
    ${turns.value.map((turn) => (turn.request ? html`<${Answer} key=${turn.id} turn=${turn} />` : html`<${Question} key=${turn.id} turn=${turn} />`))}</section>`;
}

const Question = ({ turn }) => html`<article class="turn mine">
  <h2 class="unseen">${t("play.you")}</h2>
  ${turn.pictures.map((one) => html`<img class="given" src=${one.url} alt=${one.name} />`)}
  <p class="said">${turn.text}</p></article>`;

function Answer({ turn }) {
  const runs = turn.state === "waiting" || turn.state === "coming";
  return html`<article class=${`turn theirs ${turn.state}`} aria-busy=${runs ? "true" : undefined}>
    <h2 class="unseen">${turn.model}</h2>
    ${turn.thoughts && html`<details class="thoughts"><summary>${t("play.thoughts")}</summary><p class="said">${turn.thoughts}</p></details>`}
    ${turn.text || turn.pictures.length ? html`<${Prose} text=${turn.text} pictures=${turn.pictures} />` : ""}
    ${turn.state === "waiting" && html`<p class="dim"><span class="spin" aria-hidden="true" /> ${t("play.waiting")}</p>`}
    ${turn.error && html`<${Told} error=${turn.error} id=${turn.request} retry=${runs ? undefined : () => again(turn)} />`}
    ${!runs && html`<${Facts} turn=${turn} />`}
  </article>`;
}

function Facts({ turn }) {
  const facts = [
    turn.state === "stopped" && t("play.stopped"),
    turn.first !== null && t("play.first", { time: seconds(turn.first) }),
    t("play.total", { time: seconds(turn.seconds) }),
    turn.usage && t("play.tokens", { n: turn.usage.completion_tokens }),
  ].filter(Boolean);
  return html`<footer class="facts">
    <span>${turn.model}</span>${facts.map((one) => html`<span>${one}</span>`)}
    <${AskedWhom} id=${turn.request} />
    <span class="row tools">
      ${turn.text && html`<${CopyButton} text=${turn.text} what=${t("play.copy.answer")} />`}
      <button type="button" class="button quiet small mono" title=${t("play.copy.id")} aria-label=${t("play.copy.id.of", { id: turn.request })}
        onClick=${() => copy(turn.request)}>${turn.request}</button></span></footer>`;
}

function Composer() {
  const box = useRef(null);
  const file = useRef(null);
  const found = models.value;
  const chosen = model.value || found.default || found.models[0]?.id || "";
  const runs = running !== null && ["waiting", "coming"].includes(turns.value.at(-1)?.state);
  const submit = (event) => {
    event.preventDefault();
    const text = draft.value.trim();
    if (runs || !(text || attached.value.length)) return;
    const pictures = attached.value;
    draft.value = "";
    attached.value = [];
    ask(text, pictures);
    box.current.focus();
  };
  const keys = (event) => {
    // While a word is being composed (Chinese, Japanese), Enter belongs to the input method.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229) submit(event);
    if (event.key === "Escape" && runs) stop();
  };
  return html`<form class="composer" onSubmit=${submit}>
    ${attached.value.length > 0 && html`<ul class="attached">${attached.value.map(
      (one) => html`<li key=${one.url}><img src=${one.url} alt=${one.name} />
        <button type="button" class="button quiet square" aria-label=${t("play.detach", { name: one.name })}
          onClick=${() => (attached.value = attached.value.filter((other) => other !== one))}><${Icon} name="close" /></button></li>`,
    )}</ul>`}
    <label class="unseen" for="play-text">${t("play.text")}</label>
    <textarea id="play-text" ref=${box} rows="2" placeholder=${t("play.text.hint")} value=${draft.value}
      onInput=${(event) => (draft.value = event.target.value)} onKeyDown=${keys}
      onPaste=${(event) => attach(picturesIn(event.clipboardData), event)} />
    <div class="row">
      <label class="pick grow"><span class="unseen">${t("play.model")}</span>
        <select value=${chosen} onChange=${(event) => (model.value = event.target.value)}><${ModelOptions} kinds=${["text", "image"]} /></select></label>
      <label class="check"><input type="checkbox" checked=${thinks.value} onChange=${(event) => (thinks.value = event.target.checked)} /> ${t("play.think")}</label>
      <input ref=${file} type="file" class="unseen" tabindex="-1" aria-hidden="true" accept="image/*" multiple
        onChange=${(event) => attach([...event.target.files], event).then(() => (file.current.value = ""))} />
      <${Button} kind="quiet" icon="attach" onClick=${() => file.current.click()}>${t("play.attach")}</>
      ${runs
        ? html`<${Button} kind="main" icon="stop" onClick=${stop}>${t("play.stop")}</>`
        : html`<button type="submit" class="button main" aria-disabled=${draft.value.trim() || attached.value.length ? undefined : "true"}><${Icon} name="send" /><span>${t("play.send")}</span></button>`}
    </div>
  </form>`;
}

async function attach(files, event) {
  if (!files.length) return;
  event.preventDefault();
  const fits = await Promise.all(files.map(isPicture));
  for (const [at, one] of files.entries()) if (!fits[at]) toast(t("pics.input.unfit", { name: one.name }), "bad");
  const read = await Promise.all(files.filter((_, at) => fits[at]).map(async (one) => ({ name: one.name, url: await dataUrlOf(one) })));
  attached.value = [...attached.value, ...read];
}

const stop = () => running?.abort();

function again(turn) {
  const before = turns.value.slice(0, turns.value.indexOf(turn));
  turns.value = before;
  answer(model.value || turn.model);
}

function ask(text, pictures) {
  turns.value = [...turns.value, { id: ++last, text, pictures }];
  answer(model.value || models.value.default || models.value.models[0]?.id);
}

/** Ask for the next turn, and show it as it grows. */
async function answer(name) {
  const turn = {
    ...{ id: ++last, request: newRequestId(), model: name, text: "", thoughts: "", pictures: [] },
    ...{ state: "waiting", error: null, first: null, seconds: 0, usage: null },
  };
  const body = { model: name, messages: messagesOf(turns.value), stream: true, stream_options: { include_usage: true } };
  if (thinks.value) body.reasoning_effort = "high";
  const giveUp = (running = new AbortController());
  const begun = performance.now();
  const since = () => (performance.now() - begun) / 1000;
  turns.value = [...turns.value, turn];
  said.value = t("play.waiting");
  let drawn = 0;
  const draw = () => {
    cancelAnimationFrame(drawn);
    turns.value = turns.value.map((one) => (one.id === turn.id ? { ...turn } : one));
  };
  try {
    let ended = false;
    const options = { signal: giveUp.signal, headers: { "x-request-id": turn.request } };
    for await (const { data } of events("/v1/chat/completions", body, options)) {
      if (data === "[DONE]") ended = true;
      else take(turn, JSON.parse(data), since);
      cancelAnimationFrame(drawn);
      drawn = requestAnimationFrame(draw); // several pieces may come between two frames
    }
    if (!ended) throw new Failure({ code: "broken" });
    turn.state = "done";
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    turn.state = error.aborted ? "stopped" : "failed";
    turn.error = error.aborted ? null : error;
  } finally {
    turn.seconds = since();
    if (running === giveUp) running = null;
    draw();
    said.value = turn.state === "failed" ? "" : t(`play.said.${turn.state}`, { time: seconds(turn.seconds) });
  }
}

/** Add a piece of the stream to the turn. */
function take(turn, chunk, since) {
  if (chunk.error) throw new Failure({ code: chunk.error.code, message: chunk.error.message, param: chunk.error.param ?? "" });
  if (chunk.usage) turn.usage = chunk.usage;
  const delta = chunk.choices?.[0]?.delta ?? {};
  turn.text += delta.content ?? delta.refusal ?? "";
  turn.thoughts += delta.reasoning_content ?? "";
  if (delta.images) turn.pictures = [...turn.pictures, ...delta.images.map((one) => one.image_url.url)];
  if (turn.state === "waiting" && (turn.text || turn.thoughts || turn.pictures.length)) {
    turn.state = "coming";
    turn.first = since();
  }
}

/** The conversation so far, without questions whose answer failed. Pictures of answers are found by the links in their text. */
const messagesOf = (all) =>
  all
    .filter((turn, at) => turn.state !== "failed" && all[at + 1]?.state !== "failed" && (turn.text || turn.pictures.length))
    .map((turn) => {
      if (turn.request) return { role: "assistant", content: turn.text };
      if (!turn.pictures.length) return { role: "user", content: turn.text };
      const pictures = turn.pictures.map((one) => ({ type: "image_url", image_url: { url: one.url } }));
      return { role: "user", content: [...pictures, ...(turn.text ? [{ type: "text", text: turn.text }] : [])] };
    });
