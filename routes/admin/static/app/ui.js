// The parts that views are made of. All text comes from the caller, already in the person's language.
//
//   <${Button} kind="plain|main|danger|quiet" busy=${bool} icon="name" onClick=...>words</>   busy: cannot be pressed, and says so
//   <${Field} label hint error>${(props) => html`<input ...${props} />`}</>       ties label, hint and error to the input
//   <${Dialog} open title onClose>...</>     native <dialog>; Escape and the cross call onClose
//   await confirm({title, body, action, danger, keep})  -> true | false   keep: the word for no, "Cancel" where none is given
//   toast(text, "good" | "bad" | "note")     a line that goes by itself; <${Toasts} /> once, in the frame
//   <${Badge} state="active" />              an account's state: shape and word
//   <${Tag} kind="good|warn|bad|note">word</>
//   <${Empty} title>what to do</>, <${Loading} what />, <${ErrorBox} error=${Failure} retry=${fn} />
//   <${Time} at />            "3 min ago", the whole time as its title;  at: seconds, null -> "never"
//   <${Until} at />           "in 40 s", "any moment" once it is over;  <${Age} at />  "3 min";  <${For} at />  "for 3 min"
//   useClock((at, now) => text, at)   a signal with a text that follows the clock
//   says(failure)             a Failure as a sentence
import { computed, html, signal, useEffect, useId, useMemo, useRef } from "./lib.js";
import { Icon } from "./icons.js";
import { fullTime, has, own, span, t } from "./i18n.js";
import { time } from "./live.js";

export { Icon };

export function Button({ kind = "plain", busy = false, icon, disabled, children, class: extra = "", ...rest }) {
  return html`<button type="button" ...${rest} class=${`button ${kind} ${extra}`} aria-disabled=${busy || disabled ? "true" : undefined}
    onClick=${(event) => {
      if (busy || disabled) event.preventDefault();
      else if (rest.onClick) rest.onClick(event);
    }}>${icon && html`<${Icon} name=${icon} />`}<span>${children}</span>${busy && html`<span class="spin" role="img" aria-label=${t("ui.busy")} />`}</button>`;
}

export function Field({ label, hint, error, children }) {
  const id = useId();
  const about = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ") || undefined;
  return html`<div class=${`field ${error ? "wrong" : ""}`}>
    <label for=${id}>${label}</label>
    ${children({ id, "aria-describedby": about, "aria-invalid": error ? "true" : undefined })}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${error && html`<p class="error" id=${`${id}-error`} role="alert"><${Icon} name="warn" /> ${error}</p>`}
  </div>`;
}

export function Dialog({ open, title, onClose, children, class: extra = "" }) {
  const ref = useRef(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (open && dialog && !dialog.open) dialog.showModal();
    if (!open && dialog && dialog.open) dialog.close();
  }, [open]);
  const outside = (event) => event.target === ref.current && onClose();
  return html`<dialog ref=${ref} class=${extra} aria-labelledby=${id} onClick=${outside}
    onCancel=${(event) => {
      event.preventDefault();
      onClose();
    }}>
    ${open && html`<div class="sheet">
      <header><h2 id=${id}>${title}</h2>
        <button type="button" class="button quiet square" aria-label=${t("ui.close")} onClick=${onClose}><${Icon} name="close" /></button></header>
      ${children}</div>`}
  </dialog>`;
}

const asked = signal(null);

export const confirm = (question) =>
  new Promise((resolve) => {
    asked.value = { ...question, resolve };
  });

/** Where `confirm` asks; once, in the frame. */
export function Question() {
  const found = asked.value;
  const answer = (yes) => {
    asked.value = null;
    found.resolve(yes);
  };
  return html`<${Dialog} open=${Boolean(found)} title=${found ? found.title : ""} onClose=${() => answer(false)}>
    ${found && html`<p>${found.body}</p><div class="row end">
      <${Button} onClick=${() => answer(false)}>${found.keep || t("ui.cancel")}</>
      <${Button} kind=${found.danger ? "danger" : "main"} autofocus onClick=${() => answer(true)}>${found.action}</></div>`}
  </>`;
}

const toasts = signal([]);
let lastToast = 0;

export function toast(text, kind = "note") {
  const id = ++lastToast;
  toasts.value = [...toasts.value.slice(-2), { id, text, kind }];
  setTimeout(() => drop(id), kind === "bad" ? 12_000 : 6_000);
}

const drop = (id) => {
  toasts.value = toasts.value.filter((one) => one.id !== id);
};

export const Toasts = () => html`<div class="toasts" role="status" aria-live="polite">
  ${toasts.value.map((one) => html`<p key=${one.id} class=${`toast ${one.kind}`}>
    <${Icon} name=${one.kind === "note" ? "note" : one.kind} /> <span>${one.text}</span>
    <button type="button" class="button quiet square" aria-label=${t("ui.close")} onClick=${() => drop(one.id)}><${Icon} name="close" /></button></p>`)}
</div>`;

export const Badge = ({ state }) =>
  html`<span class=${`badge state-${state}`}><${Icon} name=${state} /> ${has(`state.${state}`) ? t(`state.${state}`) : state}</span>`;

export const Tag = ({ kind = "note", children, ...rest }) => html`<span ...${rest} class=${`tag ${kind}`}>${children}</span>`;

export const Empty = ({ title, children }) => html`<div class="empty"><p class="strong">${title}</p>${children && html`<p>${children}</p>`}</div>`;

export const Loading = ({ what }) => html`<p class="loading" role="status"><span class="spin" aria-hidden="true" /> ${what || t("ui.loading")}</p>`;

export function says(failure) {
  if (failure.code === "unreachable") return t("error.unreachable");
  const key = `error.${failure.code}`;
  const wait = failure.retryAfter === null || failure.retryAfter === undefined ? "" : ` ${t("error.wait", { wait: span(failure.retryAfter) })}`;
  return `${has(key) ? t(key) : own(failure.message, failure.code === "invalid_request" ? "" : `outcome.${failure.code}`)}${wait}`;
}

export const ErrorBox = ({ error, retry }) => html`<div class="errorbox" role="alert"><${Icon} name="warn" />
  <p>${says(error)}</p>${retry && html`<${Button} onClick=${retry}>${t("ui.retry")}</>`}</div>`;

/** A text that follows the clock by itself: only the words are drawn anew, and only where they differ. */
export const useClock = (words, at) => useMemo(() => computed(() => words(at, time.value)), [at]);

const ago = (at, now) => (now - at < 5 ? t("time.just") : t("time.ago", { span: span(now - at) }));
const until = (at, now) => (at - now <= 0 ? t("time.due") : t("time.in", { span: span(Math.ceil(at - now)) }));
const aged = (at, now) => span(now - at);
const lasting = (at, now) => t("time.for", { span: span(now - at) });

export function Time({ at, words = ago }) {
  const text = useClock((since, now) => (since === null || since === undefined ? t("time.never") : words(since, now)), at);
  if (at === null || at === undefined) return html`<span class="dim">${t("time.never")}</span>`;
  return html`<time datetime=${iso(at)} title=${fullTime(at)}>${text}</time>`;
}

export const Until = ({ at }) => (at === null || at === undefined ? null : html`<${Time} at=${at} words=${until} />`);

/** How long it has been so: "for 3 min". */
export const For = ({ at }) => (at === null || at === undefined ? null : html`<${Time} at=${at} words=${lasting} />`);

/** How old something is: "3 min". */
export const Age = ({ at }) => (at === null || at === undefined ? html`<span class="dim">–</span>` : html`<${Time} at=${at} words=${aged} />`);

const iso = (at) => new Date(at * 1000).toISOString();
