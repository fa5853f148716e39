// The door: a wrong key, too many tries, and a gateway that has no admin key at all are told plainly.
import { html, useEffect, useRef, useSignal } from "../lib.js";
import { lang, own, span, t } from "../i18n.js";
import { login, session, word } from "../live.js";
import { Button, Field, Icon, says } from "../ui.js";

export function Login() {
  const input = useRef(null);
  const busy = useSignal(false);
  const error = useSignal("");
  const told = session.value;
  const closed = told && told.why;
  useEffect(() => {
    document.title = `${t("login.title")} · gempool`;
    if (input.current) input.current.focus();
  }, [Boolean(closed)]);

  async function enter(event) {
    event.preventDefault();
    if (busy.value) return;
    const key = input.current.value;
    if (!key.trim()) {
      error.value = t("login.empty");
      input.current.focus();
      return;
    }
    busy.value = true;
    error.value = "";
    try {
      await login(key.trim());
    } catch (failure) {
      error.value = wording(failure);
      input.current.select();
    } finally {
      busy.value = false;
    }
  }

  return html`<main class="door" id="main">
    <img src="/admin/icon.svg" alt="" width="48" height="48" />
    <h1>gempool</h1>
    ${word.value && html`<p class="banner note" role="status"><${Icon} name="note" /><span>${t(`login.${word.value}`)}</span></p>`}
    ${closed
      ? html`<div class="banner bad" role="alert"><${Icon} name="warn" /><div><p class="strong">${t("login.closed")}</p><p>${own(told.why, "login.closed.next")}</p>${lang.value === "en" && html`<p>${t("login.closed.next")}</p>`}</div></div>`
      : html`<form onSubmit=${enter} novalidate>
          <input class="unseen" type="text" name="username" value="admin" autocomplete="username" tabindex="-1" aria-hidden="true" readonly />
          <${Field} label=${t("login.key")} hint=${t("login.hint")} error=${error.value}>
            ${(props) => html`<input ...${props} ref=${input} type="password" name="key" autocomplete="current-password" autocapitalize="off" spellcheck="false" required />`}
          </>
          <${Button} kind="main wide" type="submit" icon="key" busy=${busy.value}>${t("login.go")}</>
        </form>`}
  </main>`;
}

function wording(failure) {
  if (failure.status === 401) return t("login.wrong");
  if (failure.status === 429)
    return `${t("login.many")} ${t("error.wait", { wait: span(failure.retryAfter || 60) })}`;
  return says(failure);
}
