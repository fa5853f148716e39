// A model's Markdown as elements: what people read in a chat (code, lists, tables, headings, emphasis, links, pictures), and the
// rest as it is. No HTML of the text's ever becomes HTML of the page's.
//
//   <${Prose} text pictures />   pictures: addresses to show in place of the text's own pictures, in their order
import { html } from "../../lib.js";
import { t } from "../../i18n.js";
import { CopyButton } from "./copy.js";
import { ownLink } from "./files.js";

const FENCE = /^ {0,3}(```+|~~~+)\s*([\w+#.-]*)/;
const ITEM = /^\s*(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const HEADING = /^#{1,6}\s+(.*?)\s*#*$/;
const RULE = /^ {0,3}\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/; // between a table's head and its rows
const INLINE =
  /(`+)([^`].*?[^`]|[^`])\1(?!`)|\*\*(.+?)\*\*|\*([^*\s][^*]*)\*|!\[([^\]]*)\]\(([^)\s]+)\)|\[([^\]]+)\]\((https?:[^)\s]+)\)|(https?:\/\/[^\s<>"'`)\]]+)/g;

export function Prose({ text, pictures = [] }) {
  const left = [...pictures];
  const blocks = blocksOf(text).map((block) => shown(block, left));
  // Pictures that the text has no place for.
  return html`<div class="prose">${blocks}${left.map((url) => picture(url, ""))}</div>`;
}

function blocksOf(text) {
  const blocks = [];
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const last = blocks.at(-1);
    const fence = FENCE.exec(lines[i]);
    const item = ITEM.exec(lines[i]);
    const heading = HEADING.exec(lines[i]);
    const cells = cellsOf(lines[i]);
    if (cells && last?.kind !== "table" && RULE.test(lines[i + 1] ?? "") && cellsOf(lines[i + 1])?.length === cells.length) {
      blocks.push({ kind: "table", head: cells, rows: [] });
      i += 1;
    } else if (last?.kind === "table" && !last.over && cells) {
      last.rows.push(last.head.map((_, n) => cells[n] ?? ""));
    } else if (fence) {
      const code = [];
      while (++i < lines.length && !lines[i].trimStart().startsWith(fence[1])) code.push(lines[i]);
      blocks.push({ kind: "code", name: fence[2], text: code.join("\n") });
    } else if (item) {
      const kind = item[1] ? "ol" : "ul";
      if (last?.kind === kind && !last.over) last.items.push(item[2]);
      else blocks.push({ kind, start: Number(item[1] ?? 1), items: [item[2]] });
    } else if (heading) blocks.push({ kind: "heading", text: heading[1] });
    else if (!lines[i].trim()) {
      if (last) last.over = true;
    } else if (last?.kind === "text" && !last.over) last.text += `\n${lines[i]}`;
    else if (last?.items && !last.over) last.items.push(`${last.items.pop()}\n${lines[i].trim()}`);
    else blocks.push({ kind: "text", text: lines[i] });
  }
  return blocks;
}

/** What stands between the bars of a line, null where it has none. A bar in code or after a backslash is none. */
function cellsOf(line) {
  const bare = line.trim();
  if (!bare.includes("|")) return null;
  const cells = bare.match(/(?:\\.|`[^`]*`|[^|])+|\|/g) ?? [];
  const found = [""];
  for (const cell of cells) cell === "|" ? found.push("") : (found[found.length - 1] = cell.trim().replace(/\\\|/g, "|"));
  if (bare.startsWith("|")) found.shift();
  if (found.length > 1 && bare.endsWith("|")) found.pop();
  return found;
}

function shown(block, pictures) {
  if (block.kind === "table")
    return html`<div class="cells" tabindex="0"><table><thead><tr>${block.head.map((cell) => html`<th scope="col">${inline(cell, pictures)}</th>`)}</tr></thead>
      <tbody>${block.rows.map((row) => html`<tr>${row.map((cell) => html`<td>${inline(cell, pictures)}</td>`)}</tr>`)}</tbody></table></div>`;
  if (block.kind === "code")
    return html`<div class="code"><div class="codehead"><span class="dim">${block.name}</span><${CopyButton} text=${block.text} what=${t("play.copy.code")} /></div>
      <pre tabindex="0"><code>${block.text}</code></pre></div>`;
  if (block.items) {
    const items = block.items.map((item) => html`<li>${inline(item, pictures)}</li>`);
    return block.kind === "ol" ? html`<ol start=${block.start}>${items}</ol>` : html`<ul>${items}</ul>`;
  }
  const words = inline(block.text, pictures);
  return block.kind === "heading" ? html`<p class="strong">${words}</p>` : html`<p>${words}</p>`;
}

function inline(text, pictures) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    found.push(text.slice(at, match.index));
    at = match.index + match[0].length;
    const [whole, , code, bold, italic, alt, source, name, target, bare] = match;
    if (code !== undefined) found.push(html`<code>${code}</code>`);
    else if (bold !== undefined) found.push(html`<strong>${inline(bold, pictures)}</strong>`);
    else if (italic !== undefined) found.push(html`<em>${inline(italic, pictures)}</em>`);
    else if (source !== undefined) found.push(pictures.length ? picture(pictures.shift(), alt) : linked(source, alt));
    else found.push(/^https?:/.test(target ?? bare ?? "") ? link(target ?? bare, name ?? bare) : whole);
  }
  found.push(text.slice(at));
  return found;
}

/** A picture of ours is shown; another host's is a link, since the page asks no other host for anything. */
const linked = (source, alt) =>
  ownLink(source) ? picture(ownLink(source), alt) : /^https?:/.test(source) ? link(source, alt || source) : `![${alt}](${source})`;

const link = (url, words) => html`<a href=${url} target="_blank" rel="noopener noreferrer">${words}</a>`;

const picture = (url, alt) => html`<img class="made" src=${url} alt=${alt || t("play.picture.alt")} loading="lazy" decoding="async" />`;
