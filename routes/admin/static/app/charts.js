// Charts of the last hour, minute by minute, and the like. All are SVG in the page's own colours.
//
//   <${Bars} title minutes kinds note />       stacked columns. minutes: [{start, <key>: number}]; kinds: [{key, word, tone}]
//   <${Lines} title minutes series format />   lines with gaps. series: [{word, tone, values: [number|null], whole}]; whole: over all of it
//   <${Lanes} rows since until />              who did something when. rows: [{id, href, marks: [{at, tone, title}]}]
//   <${Band} stretches since until />          states over time. stretches: [{from, to, state}]
//   tone: "good" | "warn" | "bad" | "off" | "a" | "b"
//
// Bars and Lines are moved through by pointer or by arrow keys; what is read out is the minute under the cursor, and the whole
// hour where there is none. To a screen reader they are sliders over the minutes.
import { html, useRef, useSignal } from "./lib.js";
import { clockTime, fullTime, number, span, t } from "./i18n.js";

const HEIGHT = 100;

/** The next round number that is not below `top`. */
export function roof(top) {
  if (top <= 4) return top > 2 ? 4 : top > 1 ? 2 : 1;
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((n) => n * power).find((n) => n >= top);
}

export function Bars({ title, minutes, kinds, note, unit = number }) {
  const top = roof(Math.max(1, ...minutes.map((one) => kinds.reduce((sum, kind) => sum + one[kind.key], 0))));
  const paths = kinds.map(() => []);
  minutes.forEach((one, i) => {
    let y = HEIGHT;
    kinds.forEach((kind, k) => {
      const tall = (one[kind.key] / top) * HEIGHT;
      if (tall > 0) paths[k].push(`M${i + 0.12} ${y.toFixed(2)}h.76V${(y - tall).toFixed(2)}h-.76z`);
      y -= tall;
    });
  });
  const read = (at) =>
    kinds.map((kind) => ({ ...kind, value: unit(at === null ? minutes.reduce((sum, one) => sum + one[kind.key], 0) : minutes[at][kind.key]) }));
  return html`<${Plot} title=${title} note=${note} minutes=${minutes} marks=${[{ y: 0, word: unit(top) }, { y: HEIGHT / 2, word: "" }]} read=${read}>
    ${paths.map((path, k) => html`<path class=${`fill ${kinds[k].tone}`} d=${path.join("")} />`)}
  </>`;
}

/** Values are seconds or the like, over some powers of ten: the scale is logarithmic. */
export function Lines({ title, minutes, series, note, format }) {
  const all = series.flatMap((one) => one.values.filter((v) => v !== null && v > 0));
  const low = all.length ? Math.floor(Math.log10(Math.min(...all))) : -1;
  const high = Math.max(low + 1, all.length ? Math.ceil(Math.log10(Math.max(...all))) : 1);
  const y = (value) => HEIGHT - ((Math.log10(Math.max(value, 10 ** low)) - low) / (high - low)) * HEIGHT;
  const marks = Array.from({ length: high - low }, (_, i) => ({ y: y(10 ** (high - i)), word: format(10 ** (high - i)) }));
  const read = (at) => series.map((one) => ({ ...one, value: format(at === null ? one.whole : one.values[at]) }));
  return html`<${Plot} title=${title} note=${note} minutes=${minutes} marks=${marks} read=${read}>
    ${series.map((one) => html`<path class=${`stroke ${one.tone}`} d=${traced(one.values, y)} />`)}
  </>`;
}

function traced(values, y) {
  let d = "";
  values.forEach((value, i) => {
    if (value === null) return;
    const height = y(value).toFixed(2);
    d += i === 0 || values[i - 1] === null ? `M${i + 0.3} ${height}h.4` : `L${i + 0.5} ${height}`;
  });
  return d;
}

function Plot({ title, note, minutes, marks, read, children }) {
  const at = useSignal(null);
  const box = useRef(null);
  const n = minutes.length;
  const here = at.value === null || at.value >= n ? null : at.value;
  const found = read(here);
  const when = here === null ? note : clockTime(minutes[here].start).replace(/:00$/, "");
  const move = (event) => {
    const { left, width } = box.current.getBoundingClientRect();
    at.value = Math.max(0, Math.min(n - 1, Math.floor(((event.clientX - left) / width) * n)));
  };
  const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -n, End: n };
  const press = (event) => {
    if (event.key === "Escape") at.value = null;
    else if (event.key in steps) at.value = Math.max(0, Math.min(n - 1, (here === null ? n - 1 : here) + steps[event.key]));
    else return;
    event.preventDefault();
  };
  const said = `${when}: ${found.map((one) => `${one.word} ${one.value}`).join(", ")}`;
  return html`<figure class="plot">
    <figcaption><span class="strong">${title}</span> <span class="when dim">${when}</span>
      <span class="keys">${found.map((one) => html`<span key=${one.word} class="key"><i class=${one.tone} />${one.word} <b>${one.value}</b></span>`)}</span></figcaption>
    <div class="area" ref=${box} tabindex="0" role="slider" aria-label=${title} aria-valuemin="0" aria-valuemax=${n - 1} aria-valuenow=${here === null ? n - 1 : here} aria-valuetext=${said}
      onPointerMove=${move} onPointerDown=${move} onPointerLeave=${() => (at.value = null)} onBlur=${() => (at.value = null)} onKeyDown=${press}>
      <svg viewBox=${`0 0 ${n} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        <path class="grid" d=${`${marks.map((mark) => `M0 ${Math.max(0.5, mark.y)}H${n}`).join("")}M0 ${HEIGHT - 0.5}H${n}`} />
        ${here !== null && html`<path class="cursor" d=${`M${here} 0h1V${HEIGHT}h-1z`} />`}
        ${children}
      </svg>
      ${marks.map((mark) => mark.word && html`<span key=${mark.y} class="mark" aria-hidden="true" style=${{ top: `${mark.y}%` }}>${mark.word}</span>`)}
    </div>
    <p class="axis" aria-hidden="true"><span>${t("chart.ago", { n })}</span><span>${t("chart.ago", { n: n / 2 })}</span><span>${t("chart.now")}</span></p>
  </figure>`;
}

export function Lanes({ rows, since, until, label }) {
  const x = (at) => `${(((at - since) / (until - since)) * 100).toFixed(2)}%`;
  return html`<div class="lanes" role="group" aria-label=${label}>
    ${rows.map((row) => html`<div key=${row.id} class="lane">
      <a class="name" href=${row.href} title=${row.id}>${row.id}</a>
      <svg aria-hidden="true" height="18" width="100%"><line x1="0" x2="100%" y1="9" y2="9" />
        ${row.marks.map((mark) => html`<circle key=${mark.key} class=${mark.tone} cx=${x(mark.at)} cy="9" r=${mark.tone === "good" ? 3.2 : 4.6}><title>${mark.title}</title></circle>`)}
      </svg>
      <span class="number dim">${number(row.total)}<span class="unseen"> ${t("chart.served")}</span></span></div>`)}
    <p class="axis" aria-hidden="true"><span>${t("time.ago", { span: span(until - since) })}</span><span>${t("chart.now")}</span></p>
  </div>`;
}

const TALL = { active: 6, cooling: 14, quarantined: 24, disabled: 3, starting: 10, draining: 3 };

export function Band({ stretches, since, until, label }) {
  const share = (s) => `${((s / (until - since)) * 100).toFixed(3)}%`;
  return html`<svg class="band" role="img" aria-label=${label} width="100%" height="26">
    ${stretches.map((one) => html`<rect key=${one.from} class=${`state-${one.state}`} x=${share(one.from - since)} y=${25 - (TALL[one.state] || 6)}
      width=${share(one.to - one.from)} height=${TALL[one.state] || 6}><title>${`${t(`state.${one.state}`)}: ${fullTime(one.from)}`}</title></rect>`)}
    <line x1="0" x2="100%" y1="25.5" y2="25.5" /></svg>`;
}
