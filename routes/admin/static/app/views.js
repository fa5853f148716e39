// The views, in the order of the navigation. Each is {path, word, icon, load, bar}.
//   path   the first part of the hash ("" for the overview)
//   word   key of its name;  bar: it stands in the bar at the foot of a phone
//   load   a module whose default export is the component; it is given `route` ({path, parts, query})
// A view is loaded when it is first looked at. It renders an <h1>.
export const VIEWS = [
  { path: "", word: "nav.overview", icon: "overview", load: () => import("./views/overview.js"), bar: true },
  { path: "accounts", word: "nav.accounts", icon: "accounts", load: () => import("./views/accounts.js"), bar: true },
  { path: "play", word: "nav.play", icon: "play", load: () => import("./views/play.js"), bar: true },
  { path: "pictures", word: "nav.pictures", icon: "pictures", load: () => import("./views/pictures.js") },
  { path: "batches", word: "nav.batches", icon: "batches", load: () => import("./views/batches.js") },
  { path: "requests", word: "nav.requests", icon: "requests", load: () => import("./views/requests.js"), bar: true },
  { path: "events", word: "nav.events", icon: "events", load: () => import("./views/events.js") },
];
