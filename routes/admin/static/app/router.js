// Where the person is: the hash. "#/accounts/alice?x=1" -> {path: "/accounts/alice", parts: ["accounts", "alice"], query: {x: "1"}}.
//
//   route            signal of the above
//   go("/accounts")  goes there; go(path, {replace: true}) without a step to go back to
//   href(path)       for links: href("/accounts", id) -> "#/accounts/<id, escaped>"
//
// "#account-alice" is what alerts link to; it is read as "#/accounts/alice".
import { signal } from "./lib.js";

export const route = signal(read());

function read() {
  let hash = location.hash.replace(/^#/, "") || "/";
  const alert = /^account-(.+)$/.exec(hash);
  if (alert) hash = `/accounts/${alert[1]}`;
  const [path, search = ""] = hash.split("?", 2);
  return { path, parts: path.split("/").filter(Boolean).map(plain), query: Object.fromEntries(new URLSearchParams(search)) };
}

function plain(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a lone % is no escape
  }
}

export const href = (path, ...parts) => `#${[path, ...parts.map(encodeURIComponent)].join("/")}`;

export function go(path, { replace = false } = {}) {
  if (replace) {
    history.replaceState(null, "", `#${path}`);
    route.value = read();
  } else location.hash = path;
}

window.addEventListener("hashchange", () => {
  route.value = read();
});
