// The views, in the order of the navigation. Each is {path, word, icon, view, bar}.
//   path   the first part of the hash ("" for the overview)
//   word   key of its name;  bar: it stands in the bar at the foot of a phone
//   view   the component; it is given `route` ({path, parts, query}) and renders an <h1>
// All of them come with the page: one that is fetched later may be missing just when the gateway is away, and browsers remember
// a module that could not be fetched; or it may be of another version than the page.
import Accounts from "./views/accounts.js";
import Batches from "./views/batches.js";
import Events from "./views/events.js";
import Overview from "./views/overview.js";
import Pictures from "./views/pictures.js";
import Play from "./views/play.js";
import Requests from "./views/requests.js";

export const VIEWS = [
  { path: "", word: "nav.overview", icon: "overview", view: Overview, bar: true },
  { path: "accounts", word: "nav.accounts", icon: "accounts", view: Accounts, bar: true },
  { path: "play", word: "nav.play", icon: "play", view: Play, bar: true },
  { path: "pictures", word: "nav.pictures", icon: "pictures", view: Pictures },
  { path: "batches", word: "nav.batches", icon: "batches", view: Batches },
  { path: "requests", word: "nav.requests", icon: "requests", view: Requests, bar: true },
  { path: "events", word: "nav.events", icon: "events", view: Events },
];
