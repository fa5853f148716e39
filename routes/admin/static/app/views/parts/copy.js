// Copying text, also where the page came without TLS and browsers hide their clipboard.
import { html } from "../../lib.js";
import { Button, toast } from "../../ui.js";
import { t } from "../../i18n.js";

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    if (!copiedByHand(text)) {
      toast(t("copy.failed"), "bad");
      return;
    }
  }
  toast(t("copy.done"), "good");
}

function copiedByHand(text) {
  const area = Object.assign(document.createElement("textarea"), { value: text, readOnly: true });
  area.className = "offstage";
  const before = document.activeElement;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus();
  return done;
}

/** what: what is copied, for those who do not see where the button stands. bare: beside a single value, without a word. */
export const CopyButton = ({ text, what, bare = false }) =>
  html`<${Button} kind="quiet" class=${bare ? "small bare-copy" : "small"} icon="copy" aria-label=${what} title=${what} onClick=${() => copy(text)}>${!bare && t("copy.short")}</>`;
