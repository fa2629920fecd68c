// The page: what is new comes as events, charts ask for what they show.
import { age, noAlerts, prepare, showAlerts } from "./alerts.js";
import { ask, listen, token } from "./api.js";
import { find, make, say } from "./dom.js";
import { shown, span } from "./format.js";
import { PanelCard } from "./panel.js";
import { View } from "./view.js";

const root = document.documentElement;
const cards = new Map(); // by the panel's id
const STALE = 3; // intervals without data, as the server counts them
let newest = { end: null, interval: 1 };

// What is seen ---------------------------------------------------------------------------------------------------------

const view = new View(() => {
  for (const button of find("ranges").children) {
    button.setAttribute("aria-pressed", String(!view.fixed && Number(button.dataset.seconds) === view.seconds));
  }
  say(find("span"), view.words());
  find("reset").hidden = view.fixed === null;
  refresh(true);
});

const refresh = (force = false) => {
  if (document.hidden) return; // until somebody looks
  for (const card of cards.values()) if (card.seen) card.refresh(force);
};

const watched = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const card = [...cards.values()].find((each) => each.element === entry.target);
    if (!card) continue;
    card.seen = entry.isIntersecting;
    if (card.seen) { card.redraw(true); card.refresh(); }
  }
}, { rootMargin: "200px" });

// Panels and tiles -----------------------------------------------------------------------------------------------------

const showPanels = (panels) => {
  const ids = panels.map((panel) => panel.id).join("\n");
  if (ids !== [...cards.keys()].join("\n")) build(panels);
  panels.forEach((panel) => cards.get(panel.id).show(panel));
};

const build = (panels) => {
  watched.disconnect();
  cards.clear();
  const groups = new Map();
  for (const panel of panels) {
    const card = new PanelCard(panel, view);
    cards.set(panel.id, card);
    if (!groups.has(panel.group)) groups.set(panel.group, []);
    groups.get(panel.group).push(card.element);
  }
  find("panels").replaceChildren(...[...groups].map(([group, elements]) => make("section", { "aria-label": group || "Other" },
    make("h3", {}, group || "Other"), make("div", { class: "cards" }, ...elements))));
  find("panels").removeAttribute("aria-busy");
  for (const card of cards.values()) watched.observe(card.element);
};

/** The first panel of each group, at the head of the page. */
const showTiles = (panels) => {
  const first = panels.filter((panel, at) => panels.findIndex((each) => each.group === panel.group) === at);
  const place = find("tiles");
  if (place.children.length !== first.length) {
    place.replaceChildren(...first.map(() => make("div", {}, make("dt"), make("dd"), make("dd", { class: "muted" }))));
  }
  first.forEach((panel, at) => {
    const [title, number, rest] = place.children[at].children;
    const values = panel.values.length === 1 ? panel.values[0].values : {};
    const [stat, ...others] = panel.stats;
    say(title, panel.title);
    say(number, `${others.length ? `${stat} ` : ""}${shown(values[stat], panel.unit)}`);
    const more = others.map((each) => `${each} ${shown(values[each], panel.unit)}`);
    say(rest, [...more, ...(panel.target ? [panel.target.label] : [])].join(" · ") || `last ${span(panel.seconds)}`);
  });
};

const showOverview = (overview) => {
  newest = overview;
  view.ahead = overview.time - Date.now() / 1000;
  view.interval = overview.interval;
  showHealth(overview.health);
  showPanels(overview.panels);
  showTiles(overview.panels);
  showAge();
  if (view.advance()) refresh();
};

// Health ---------------------------------------------------------------------------------------------------------------

const LOOKS = {
  ok: ["v-well", "✓", "All is well"],
  degraded: ["v-open", "!", "Degraded"],
  down: ["v-bad", "✕", "Down"],
};

let health = null;
let firing = []; // names of rules

const showHealth = (body = health) => {
  health = body;
  const { status } = body;
  const empty = newest.end === null && status !== "down";
  const alarmed = status === "ok" && firing.length;
  const [look, sign, words] = empty ? ["v-open", "…", "No data yet"] : alarmed ? alarm() : LOOKS[status];
  const reasons = alarmed ? [...new Set(firing)] : body.reasons;
  find("health").className = `answer ${look}`;
  find("health").removeAttribute("aria-busy");
  say(find("health-sign"), sign);
  say(find("health-words"), words);
  document.title = `${firing.length ? `▲ ${firing.length} ` : ""}${find("title").textContent}`;
  find("reasons").replaceChildren(...reasons.map((each) => make("li", {}, each)));
};

const alarm = () => ["v-bad", "▲", firing.length === 1 ? "An alert is firing" : `${firing.length} alerts are firing`];

const showAge = () => {
  const end = newest.end;
  const late = end === null ? 0 : view.now() - end;
  say(find("age"), end === null ? "" : `The newest data is ${span(late)} old.`);
  find("age").classList.toggle("late", late > STALE * newest.interval);
};

const LINKS = { open: ["●", "Live"], lost: ["○", "Connection lost, trying again"] };

const showLink = (state) => {
  const [sign, words] = LINKS[state];
  find("link").className = `link ${state}`;
  say(find("link").querySelector(".sign"), sign);
  say(find("link").querySelector(".words"), words);
};

// What the page is told to do ------------------------------------------------------------------------------------------

const theme = () => root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

const showTheme = () => {
  find("theme").setAttribute("aria-label", `Theme: ${theme()}. Change it`);
  say(find("theme").querySelector(".words"), theme() === "dark" ? "Dark" : "Light");
  for (const card of cards.values()) card.redraw(true);
};

find("theme").addEventListener("click", () => {
  root.dataset.theme = theme() === "dark" ? "light" : "dark";
  try { localStorage.setItem("engine-opt-theme", root.dataset.theme); } catch { /* as long as the page lives */ }
  showTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
document.addEventListener("visibilitychange", () => refresh(true));
find("ranges").addEventListener("click", (event) => {
  if (event.target.dataset.seconds) view.live(Number(event.target.dataset.seconds));
});
find("reset").addEventListener("click", () => { view.live(); find("history").focus(); });

// From the beginning ---------------------------------------------------------------------------------------------------

const heardAlerts = (body) => {
  showAlerts(body, () => view.now());
  firing = body.alerts.filter((alert) => alert.state === "firing").map((alert) => alert.rule);
  if (health) showHealth();
};

const begin = async () => {
  token.take();
  showTheme();
  view.restore();
  view.changed();
  prepare(heardAlerts);
  const asked = [
    ask("overview").then(showOverview),
    ask("alerts").then(heardAlerts).catch((error) => noAlerts(error.status === 404 ? "No alerts are watched for." : "")),
  ];
  const first = await Promise.allSettled(asked);
  if (first[0].status === "rejected") ask("health").then(showHealth).catch(() => showLink("lost"));
  listen({ overview: showOverview, alerts: heardAlerts, health: showHealth }, showLink);
};

let ticks = 0;
setInterval(() => {
  showAge();
  // Events tell when the status changes; a reason tells for how long it is so.
  if (++ticks % 5 === 0 && health && health.status !== "ok") ask("health").then(showHealth).catch(() => { /* is told already */ });
  age(() => view.now());
  // Without news the charts go on all the same: that nothing comes is to be seen.
  if (newest.end !== null && view.now() - view.end > 1.5 * newest.interval && view.advance()) refresh();
}, 1000);

begin();
