// The one door to the vendored libraries: every module of the page imports them from here.
import { Component, Fragment, createRef, h, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { Component, Fragment, createRef, h, render };
export { useCallback, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.js";
export { batch, computed, effect, signal, untracked, useComputed, useSignal, useSignalEffect } from "../vendor/signals.js";

/** Markup in template strings: html`<p class=${name}>${text}</p>`. Text is always escaped. */
export const html = htm.bind(h);
