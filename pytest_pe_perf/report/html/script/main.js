// The pages of the report, and what leads from one to another.
import { copy, find } from "./dom.js";
import { listen } from "./keys.js";
import { Overview } from "./overview.js";
import { asked, linkTo } from "./state.js";
import { TestPage } from "./test.js";
import { charts } from "./trend.js";
import { readJson, readTest } from "./unpack.js";

const PAPER = 680; // pixels: less than any paper is wide, so that words are no smaller than others
const root = document.documentElement;

class Report {
  constructor(content) {
    this.content = content;
    this.overview = find("rows") ? new Overview(content) : null;
    this.numbers = new Map(content.anchors.map((anchor, place) => [anchor, place]));
    this.page = null;
    this.back = "#";
    this.title = document.title;
    // What the overview does not need is read after it is drawn.
    this.runs = readJson("d-runs");
    this.runs.then((runs) => { if (this.overview) { this.overview.runs = runs; this.overview.draw(); } });
  }

  /** Show what the address asks for. */
  async show() {
    const parts = asked();
    const place = this.numbers.get(parts.get("t"));
    const name = place !== undefined ? "test" : parts.get("page") === "method" ? "method" : "overview";
    if (name === "test") await this.open(place, parts.get("t"));
    else this.page = null;
    root.dataset.page = name;
    find("to-overview").setAttribute("aria-current", name === "overview" ? "page" : "false");
    find("to-method").setAttribute("aria-current", name === "method" ? "page" : "false");
    if (name === "test") this.page.fill();
    else document.title = this.title;
    if (name === "overview") this.restore();
    if (name === "method") { find("method").focus({ preventScroll: true }); scrollTo({ top: 0, behavior: "instant" }); }
  }

  restore() {
    this.overview?.restore();
    const place = location.hash.includes("=") ? null : find(location.hash.slice(1));
    if (place) place.scrollIntoView();
    else if (location.hash === "#failing") find("table")?.scrollIntoView();
  }

  async open(place, anchor) {
    const [runs, test] = await Promise.all([this.runs, readTest(place, this.content.chunk), charts()]);
    this.page = new TestPage(find("page-test"), runs, test, anchor);
    document.title = `${test.test.slice(0, 200)} · ${this.title}`;
  }

  /** Go to the test after this one, or before it. */
  step(by) {
    const anchor = this.overview?.neighbour(this.page.anchor, by);
    if (anchor) location.replace(linkTo({ t: anchor }));
  }

  // --- what keys and buttons do

  search() {
    if (this.page) location.hash = this.back;
    const field = find("search");
    if (!field) return;
    root.dataset.page = "overview";
    field.focus();
    field.select();
  }

  failing() { if (!this.page) this.overview?.toggleFailing(); }

  move(by) { if (this.page) this.step(by); else this.overview?.move(by); }

  escape() { if (this.page) location.hash = this.back; else if (location.hash === "#method") location.hash = ""; else this.overview?.clear(); }

  help() { find("keys").showModal(); }

  theme() {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const next = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    try { localStorage.setItem("pe-perf-theme", next); } catch { /* it lasts as long as the page */ }
    this.page?.draw();
  }

  /** Paper is light, and has no button to open what is closed. */
  listenToPrinter() {
    let chosen = null;
    addEventListener("beforeprint", () => {
      chosen = root.dataset.theme;
      root.dataset.theme = "light";
      for (const details of document.querySelectorAll("details.rest")) details.open = true;
      // Before the paper is laid out: a chart is drawn for it, and the style fits it in.
      this.page?.draw(PAPER);
    });
    addEventListener("afterprint", () => {
      if (chosen) root.dataset.theme = chosen; else delete root.dataset.theme;
      this.page?.draw();
    });
  }

  clicked(event) {
    const button = event.target.closest("button, a");
    if (!button) return;
    if (button.matches(".copy")) copy(button);
    else if (button.dataset.step) this.step(Number(button.dataset.step));
    else if (button.matches(".back")) { event.preventDefault(); location.hash = this.back; }
  }

  listen() {
    listen(this);
    addEventListener("hashchange", (event) => {
      const before = new URL(event.oldURL).hash;
      if (!before.startsWith("#t=") && before !== "#method") this.back = before || "#";
      this.show();
    });
    document.addEventListener("click", (event) => this.clicked(event));
    find("theme").addEventListener("click", () => this.theme());
    find("help").addEventListener("click", () => this.help());
    find("close").addEventListener("click", () => find("keys").close());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.page?.draw());
    addEventListener("resize", () => this.page?.draw());
    this.listenToPrinter();
  }
}

const start = async () => {
  try {
    const report = new Report(await readJson("d-overview"));
    report.listen();
    await report.show();
    root.dataset.ready = "yes";
    (window.requestIdleCallback ?? setTimeout)(charts);
  } catch (error) {
    const said = document.createElement("p");
    said.className = "failed";
    said.textContent = `The table could not be read (${error}). What failed stands above; a newer browser may show the rest.`;
    document.querySelector("main").prepend(said);
    throw error;
  }
};
// The answer is painted first: none of this is needed for it.
requestAnimationFrame(() => setTimeout(start));
