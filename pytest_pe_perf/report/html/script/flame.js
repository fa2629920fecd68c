// A flame graph: callers above, what they call beneath, as wide as head spends in it. Colour says what changed.
import { make, told } from "./dom.js";
import { quantity } from "./format.js";

const LEAST_SHOWN = 0.002; // of the width: less cannot be seen
const SIGNS_OF_CHANGE = new Map([[-1, "▼ "], [0, ""], [1, "▲ "]]);

const toneOf = (level) => (level > 0 ? `grew-${level}` : level < 0 ? `shrank-${-level}` : "same");

const signOf = (level) => SIGNS_OF_CHANGE.get(Math.sign(level));

class Flame {
  constructor(view) {
    this.view = view;
    this.nodes = view.nodes.map(([parent, label, place, now, before, level], number) => (
      { number, parent, label, place, now, before, level, below: [], start: 0, depth: 0 }));
    this.place();
    this.words = make("p", { class: "note", role: "status" });
    this.frames = make("div", {
      class: "frames", role: "group", "aria-label": `${view.title}: flame graph; arrow keys move, Enter zooms, Escape zooms out`,
      onkeydown: (event) => this.pressed(event),
      onpointerover: (event) => this.tell(this.of(event.target) ?? this.zoomed),
      onfocusin: (event) => this.tell(this.of(event.target)),
      onclick: (event) => this.clicked(event),
    }, ...this.nodes.map((node) => this.button(node)));
    this.zoom(this.nodes[0]);
  }

  /** Where each node begins, and beneath what. A node comes after the one above it. */
  place() {
    const taken = new Array(this.nodes.length).fill(0);
    for (const node of this.nodes.slice(1)) {
      const above = this.nodes[node.parent];
      above.below.push(node);
      node.depth = above.depth + 1;
      node.start = above.start + taken[node.parent];
      taken[node.parent] += node.now;
    }
  }

  button(node) {
    const text = this.said(node);
    node.element = make("button", {
      type: "button", class: `frame ${toneOf(node.level)}`, tabindex: -1, title: text, "aria-label": text, "data-node": node.number,
    }, make("span", {}, signOf(node.level), node.label));
    node.element.style.setProperty("--depth", node.depth);
    return node.element;
  }

  said(node) {
    const { unit, paired } = this.view;
    const before = paired ? `, ${quantity(node.before, unit)} before` : "";
    const share = this.nodes[0].now ? `, ${(100 * node.now / this.nodes[0].now).toFixed(1)} %` : "";
    return `${signOf(node.level)}${node.label}${node.place ? ` (${node.place})` : ""}: ${quantity(node.now, unit)} of each call${share}${before}`;
  }

  of(element) {
    const button = element.closest("[data-node]");
    return button && this.nodes[button.dataset.node];
  }

  tell(node) { if (node) this.words.replaceChildren(told(this.said(node))); }

  clicked(event) {
    const node = this.of(event.target);
    if (!node) return;
    // A second click on what fills the width goes back up.
    this.zoom(node === this.zoomed && node.parent >= 0 ? this.nodes[node.parent] : node);
    this.enter(node);
  }

  /** Let a node fill the width; those above it are as wide. */
  zoom(node) {
    this.zoomed = node;
    const above = new Set();
    for (let each = node; each.parent >= 0; each = this.nodes[each.parent]) above.add(each.parent);
    let deepest = 0;
    for (const each of this.nodes) {
      const left = (each.start - node.start) / (node.now || 1), width = each.now / (node.now || 1);
      const inside = each.depth >= node.depth && left > -1e-9 && left + width < 1 + 1e-9;
      const shown = above.has(each.number) || each === node || (inside && width >= LEAST_SHOWN);
      each.element.hidden = !shown;
      if (shown) deepest = Math.max(deepest, each.depth);
      each.element.classList.toggle("above", above.has(each.number));
      each.element.style.left = `${above.has(each.number) ? 0 : 100 * left}%`;
      each.element.style.width = `${above.has(each.number) ? 100 : 100 * width}%`;
    }
    this.frames.style.setProperty("--rows", deepest + 1);
    this.choose(node);
    this.tell(node);
  }

  /** One of them can be reached by the tabulator; the arrows lead on from there. */
  choose(node) {
    this.chosen?.element.setAttribute("tabindex", "-1");
    this.chosen = node;
    node.element.setAttribute("tabindex", "0");
  }

  enter(node) {
    this.choose(node);
    node.element.focus({ preventScroll: true });
  }

  beside(node, by) {
    const all = node.parent < 0 ? [node] : this.nodes[node.parent].below.filter((each) => !each.element.hidden);
    return all[all.indexOf(node) + by];
  }

  pressed(event) {
    const node = this.of(event.target);
    if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
    const target = {
      ArrowUp: () => this.nodes[node.parent],
      ArrowDown: () => node.below.find((each) => !each.element.hidden),
      ArrowLeft: () => this.beside(node, -1),
      ArrowRight: () => this.beside(node, 1),
      Home: () => this.nodes[0],
    }[event.key];
    const out = event.key === "Escape" && this.zoomed.parent >= 0;
    if (!target && !out) return;
    event.preventDefault();
    event.stopPropagation(); // the page has its own keys
    if (out) this.zoom(this.nodes[0]);
    const next = out ? this.zoomed : target();
    if (next) this.enter(next);
  }
}

const functionTable = (view) => make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": `${view.title}, by function` },
  make("table", { class: "plain functions" },
    make("thead", {}, make("tr", {},
      make("th", { scope: "col" }, "Function, with the libraries that it calls"),
      view.paired && make("th", { scope: "col", class: "n" }, "Before"),
      make("th", { scope: "col", class: "n" }, "Now"),
      view.paired && make("th", { scope: "col", class: "n" }, "Change"))),
    make("tbody", {}, ...view.lines.map(([name, before, now, change, level]) => make("tr", {},
      make("th", { scope: "row", class: "id" }, told(name)),
      view.paired && make("td", { class: "n", "data-name": "before" }, before),
      make("td", { class: "n", "data-name": "now" }, now),
      view.paired && make("td", { class: `n ${toneOf(level)}`, "data-name": "change" }, signOf(level), change))))));

/** The parts of a page that show a profile. */
export const flame = (view) => {
  const heading = make("h3", {}, view.title);
  if (!view.nodes.length) return [heading, make("p", { class: "muted" }, view.note)];
  const drawing = new Flame(view);
  return [
    heading,
    make("figure", { class: "flame" }, drawing.frames, drawing.words,
      make("figcaption", {},
        make("span", {}, view.paired ? "as wide as head's share of a call" : "as wide as its share of a call"),
        make("span", { class: "on-screen" }, "click one to zoom in, or one above it to zoom out"),
        view.paired && make("span", { class: "key k-grew" }, "▲ its own grew"),
        view.paired && make("span", { class: "key k-shrank" }, "▼ its own shrank"),
        view.note && make("span", {}, told(view.note)))),
    functionTable(view),
  ];
};
