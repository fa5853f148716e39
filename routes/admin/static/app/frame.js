// What stands around every view: navigation, the state of the link, the banner, the login where it is needed.
import { html, signal, useEffect, useErrorBoundary, useRef } from "./lib.js";
import { lang, setLang, span, t } from "./i18n.js";
import { link, linkSince, linkWhy, logout, now, pageVersion, phase, session, time, waits } from "./live.js";
import { href, route } from "./router.js";
import { THEMES, setTheme, theme } from "./theme.js";
import { Button, Dialog, ErrorBox, Icon, Loading, Question, Toasts, toast } from "./ui.js";
import { trouble } from "./health.js";
import { VIEWS } from "./views.js";
import { Login } from "./views/login.js";

const menu = signal(false);

export function Frame() {
  if (phase.value === "login") return html`<div class="bare"><${Login} /><footer><${Corner} /></footer><${Toasts} /></div>`;
  const view = VIEWS.find((one) => one.path === (route.value.parts[0] || ""));
  return html`
    <a class="skip" href="#main" onClick=${toMain}>${t("ui.skip")}</a>
    <header class="top">
      <a class="brand" href="#/"><img src="/admin/icon.svg" alt="" width="24" height="24" /> gempool</a>
      <${Link} />
      <span class="grow" />
      <${Corner} />
    </header>
    <nav class="side" aria-label=${t("nav.label")}>
      ${VIEWS.map((one) => html`<${Entry} key=${one.path} one=${one} here=${one === view} />`)}
    </nav>
    <main id="main" tabindex="-1" class=${`view-${view && view.path ? view.path : "overview"}`}>
      <${Banner} />
      ${phase.value === "asking" ? html`<${Asking} />` : html`<${Room} view=${view} />`}
    </main>
    <nav class="foot" aria-label=${t("nav.label")}>
      ${VIEWS.filter((one) => one.bar).map((one) => html`<${Entry} key=${one.path} one=${one} here=${one === view} />`)}
      <button type="button" class="entry" aria-haspopup="dialog" onClick=${() => (menu.value = true)}>
        <${Icon} name="more" size=${20} /><span>${t("nav.more")}</span></button>
    </nav>
    <${Dialog} open=${menu.value} title=${t("nav.label")} onClose=${() => (menu.value = false)} class="menu">
      <nav aria-label=${t("nav.more")}>
        ${VIEWS.filter((one) => !one.bar).map((one) => html`<${Entry} key=${one.path} one=${one} here=${one === view} onClick=${() => (menu.value = false)} />`)}
      </nav>
      <${Choices} />
    </>
    <${Question} />
    <${Toasts} />`;
}

function toMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function Entry({ one, here, onClick }) {
  const ill = one.path === "accounts" ? trouble.value : 0;
  return html`<a class="entry" href=${one.path ? href(`/${one.path}`) : "#/"} aria-current=${here ? "page" : undefined} onClick=${onClick}>
    <${Icon} name=${one.icon} size=${18} /><span>${t(one.word)}</span>
    ${ill > 0 && html`<span class="count" title=${t("nav.ill", { n: ill })}>${ill}<span class="unseen"> ${t("nav.ill.short")}</span></span>`}</a>`;
}

/** The language, the theme and the way out. */
function Corner() {
  return html`<div class="corner"><${Choices} /></div>`;
}

function Choices() {
  const other = lang.value === "zh" ? "en" : "zh";
  const names = { en: "English", zh: "中文" };
  return html`<div class="choices">
    <button type="button" class="button quiet" lang=${other} onClick=${() => setLang(other).catch(() => toast(t("error.unreachable"), "bad"))}>${names[other]}</button>
    <label class="pick"><span class="unseen">${t("theme.label")}</span>
      <select value=${theme.value} onChange=${(event) => setTheme(event.target.value)}>
        ${THEMES.map((one) => html`<option key=${one} value=${one}>${t(`theme.${one}`)}</option>`)}
      </select></label>
    ${phase.value === "open" && session.value && session.value.needed && html`<${Button} kind="quiet" icon="leave" onClick=${leave}>${t("login.leave")}</>`}
  </div>`;
}

const leave = () => {
  menu.value = false;
  logout().catch(() => {}); // the session ends here in any case
};

/** Whether what is shown is live, always in sight. */
function Link() {
  const state = link.value;
  return html`<span class=${`link ${state}`} role="status"><i aria-hidden="true" /><span>${t(`link.${state}`)}</span></span>`;
}

function Banner() {
  const newer = now.value && pageVersion.value && now.value.version !== pageVersion.value;
  return html`<div class="banners" role="status" aria-live="polite">
    ${link.value === "lost" && phase.value === "open" && html`<p class="banner bad"><${Icon} name="warn" />
      <span>${t("link.banner")} ${linkWhy.value} <span aria-hidden="true"><${Gone} /></span></span></p>`}
    ${newer && html`<p class="banner note"><${Icon} name="note" /><span>${t("link.newer", { version: now.value.version })}</span>
      <${Button} onClick=${() => location.reload()}>${t("link.reload")}</></p>`}
  </div>`;
}

function Gone() {
  time.value; // counts on
  return t("link.since", { span: span((Date.now() - linkSince.value) / 1000) });
}

const Asking = () =>
  link.value === "lost"
    ? html`<div class="empty" role="status"><p class="strong">${linkWhy.value || t("link.nobody")}</p><p>${t("link.nobody.next")}</p></div>`
    : html`<${Loading} what=${waits.value && `${t(`link.waits.${waits.value}`)} ${linkWhy.value}`} />`;

function Room({ view }) {
  const shown = useRef(null);
  const path = route.value.path;
  useEffect(() => {
    // A new place begins at its top and, for who listens, with its heading; the first one is read from the page's start.
    const heading = document.querySelector("main h1");
    document.title = heading ? `${heading.textContent} · gempool` : "gempool";
    if (shown.current !== null && shown.current !== path && view) {
      scrollTo(0, 0);
      if (heading && !document.activeElement.closest("main form")) {
        // unless the view has put it where one is to write
        heading.tabIndex = -1;
        heading.focus({ preventScroll: true });
      }
    }
    if (view) shown.current = path;
  }, [path, view, lang.value]);
  if (!view) return html`<h1>${t("nav.nowhere")}</h1><p><a href="#/">${t("nav.overview")}</a></p>`;
  return html`<${Guarded} key=${view.path} view=${view.view} />`;
}

/** One broken view must not take the page with it. */
function Guarded({ view: View }) {
  const [error, reset] = useErrorBoundary((found) => console.error(found));
  if (error) return html`<h1>${t("error.view")}</h1><${ErrorBox} error=${{ code: "view", message: String(error.message || error) }} retry=${reset} />`;
  return html`<${View} route=${route.value} />`;
}
