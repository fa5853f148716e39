// Small pictures drawn here, 16 units square, in the text's colour. <${Icon} name="well" />; always beside a word.
import { html } from "./lib.js";

const SHAPES = {
  active: html`<circle cx="8" cy="8" r="6" fill="currentColor" stroke="none" /><path d="m5 8.2 2.1 2.1L11.2 6" stroke="var(--under)" />`,
  cooling: html`<circle cx="8" cy="8" r="6" /><path d="M8 4.4V8l2.4 1.6" />`,
  quarantined: html`<path d="M8 1.6 15 14H1z" fill="currentColor" stroke-width="1" /><path d="M8 6v3.6M8 11.4v.6" stroke="var(--under)" />`,
  disabled: html`<circle cx="8" cy="8" r="6" /><path d="m3.8 3.8 8.4 8.4" />`,
  starting: html`<circle cx="8" cy="8" r="6" stroke-dasharray="2.6 2.1" />`,
  draining: html`<path d="M8 2v9M4 7.5 8 11.5l4-4M3 14.2h10" />`,
  good: html`<circle cx="8" cy="8" r="6" /><path d="m5.2 8.2 2 2 3.6-4" />`,
  bad: html`<circle cx="8" cy="8" r="6" /><path d="m5.8 5.8 4.4 4.4m0-4.4-4.4 4.4" />`,
  note: html`<circle cx="8" cy="8" r="6" /><path d="M8 7.4v3.4M8 5v.4" />`,
  warn: html`<path d="M8 1.8 14.8 14H1.2zM8 6.2v3.6M8 11.6v.4" />`,
  overview: html`<path d="M2 13.5V9M6 13.5v-11M10 13.5V6M14 13.5V4" />`,
  accounts: html`<circle cx="8" cy="5" r="3" /><path d="M2 14.2c.7-3 3-4.4 6-4.4s5.3 1.4 6 4.4" />`,
  play: html`<path d="M2 3h12v8H7l-3 3v-3H2z" />`,
  pictures: html`<rect x="1.8" y="2.5" width="12.4" height="11" rx="1.5" /><path d="m2 11.5 3.6-3.6 3 3 2-2 3.4 3.4" /><circle cx="10.8" cy="5.7" r="1" />`,
  batches: html`<path d="m8 1.8 6.2 3L8 7.8 1.8 4.800zM1.8 8 8 11l6.2-3M1.8 11.2 8 14.200l6.2-3" />`,
  requests: html`<path d="M2 5h11M10 2l3 3-3 3M14 11H3M6 8l-3 3 3 3" />`,
  events: html`<path d="M5 3.500h9.500M5 8h9.500M5 12.500h9.500M1.5 3.500h.6M1.5 8h.6M1.5 12.500h.6" />`,
  more: html`<circle cx="3" cy="8" r="1" /><circle cx="8" cy="8" r="1" /><circle cx="13" cy="8" r="1" />`,
  close: html`<path d="m3.5 3.5 9 9m0-9-9 9" />`,
  back: html`<path d="M9.5 3 4.5 8l5 5" />`,
  next: html`<path d="m6.5 3 5 5-5 5" />`,
  key: html`<circle cx="5" cy="11" r="3" /><path d="m7.2 8.8 6.3-6.300M11 5l2 2" />`,
  search: html`<circle cx="7" cy="7" r="4.5" /><path d="m10.5 10.5 4 4" />`,
  copy: html`<rect x="5.5" y="5.5" width="8.5" height="8.5" rx="1.5" /><path d="M3 10.5c-.6 0-1-.4-1-1V3c0-.6.4-1 1-1h6.5c.6 0 1 .4 1 1" />`,
  stop: html`<rect x="3.5" y="3.5" width="9" height="9" rx="1.5" />`,
  hold: html`<path d="M5.5 3v10M10.5 3v10" />`,
  run: html`<path d="M4.5 2.8 13 8l-8.5 5.2z" />`,
  send: html`<path d="M14 2 7 9M14 2 9.5 14 7 9 2 6.5z" />`,
  attach: html`<path d="m13.5 7.5-5.6 5.6a3.3 3.3 0 0 1-4.7-4.7l5.8-5.7a2.2 2.2 0 0 1 3.1 3.1l-5.7 5.7a1.1 1.1 0 0 1-1.6-1.5l5.2-5.2" />`,
  download: html`<path d="M8 2v8.5M4.5 7.5 8 11l3.5-3.5M2.5 14h11" />`,
  leave: html`<path d="M6.5 2H2.500v12h4M6 8h8.500M11 4.5 14.5 8 11 11.5" />`,
};

export const Icon = ({ name, size = 16 }) =>
  html`<svg class="icon" viewBox="0 0 16 16" width=${size} height=${size} aria-hidden="true" focusable="false">${SHAPES[name] || SHAPES.note}</svg>`;
