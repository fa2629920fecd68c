// A panel: its chart, and beneath it the numbers as a table, which is the legend as well.
import { ask, Refused } from "./api.js";
import { draw, STYLES } from "./chart.js";
import { make, say } from "./dom.js";
import { clock, named, shown, span } from "./format.js";
import { columns, drawn, exists, query } from "./series.js";

const WORDS = { rate: "a second", value: "now", share: "share", count: "values" };
const word = (stat) => WORDS[stat] ?? stat;

export class PanelCard {
  /** `view` is what all charts see: its window, and where they tell what was chosen. */
  constructor(panel, view) {
    this.view = view;
    this.panel = panel;
    this.chosen = panel.stats[0];
    this.styles = new Map(); // which style a line has, for as long as the page lives
    this.answer = null;
    this.chart = null;
    this.refreshed = -Infinity;
    this.asked = 0;
    this.seen = false;
    const title = `title-${panel.id}`;
    this.choices = make("div", { class: "choose", role: "group", "aria-label": `Drawn of: ${panel.title}` });
    this.plot = make("div", {
      class: "plot", tabindex: 0, role: "group", "aria-labelledby": title, "aria-describedby": "keys",
      onkeydown: (event) => this.pressed(event), onpointerleave: () => this.point(null),
    });
    this.note = make("p", { class: "note muted" });
    this.head = make("tr");
    this.rows = make("tbody");
    this.caption = make("caption");
    const table = make("table", { class: "values", "aria-labelledby": title }, this.caption, make("thead", {}, this.head), this.rows);
    this.element = make("article", { class: "card panel", "data-panel": panel.id },
      make("header", {}, make("h4", { id: title }, panel.title), this.choices), this.plot, this.note, table);
    new ResizeObserver(() => this.fit()).observe(this.plot);
    this.show(panel);
  }

  /** Take the newest numbers. */
  show(panel) {
    this.panel = panel;
    this.several = panel.values.length > 1;
    this.build();
    this.point(null);
    this.remark();
  }

  /** Draw what the view sees, if that has changed enough since the last time. */
  async refresh(force = false) {
    const [from, to] = this.view.window();
    if (!force && Math.abs(to - this.refreshed) < this.view.step()) return;
    this.refreshed = to;
    const turn = ++this.asked;
    this.plot.setAttribute("aria-busy", "true");
    try {
      const there = this.panel.values.length > 0 || await exists(this.panel.metric);
      const answer = there ? await ask(query(this.panel, from, to)) : null;
      if (turn !== this.asked) return;
      this.answer = answer;
      this.failed = null;
      this.redraw();
    } catch (error) {
      if (turn !== this.asked) return;
      // A lost connection is told at the head of the page.
      this.failed = error instanceof Refused ? error.message : null;
      this.refreshed = -Infinity;
    }
    this.plot.removeAttribute("aria-busy");
    this.remark();
  }

  /** Draw what was answered last, in the colours of now. */
  redraw(anew = false) {
    if (!this.answer || !this.seen) return;
    const stats = this.answer.stats;
    const series = drawn(this.answer);
    const several = series.length > 1 && stats.length > 1;
    const data = columns(this.answer);
    const lines = [];
    const drawnData = [data[0]];
    series.forEach((each, at) => stats.forEach((stat, which) => {
      if (several && stat !== this.chosen) return;
      lines.push({ label: `${named(each.labels, "")} ${word(stat)}`, style: this.style(each.labels, series.length > 1 ? null : stat) });
      drawnData.push(data[1 + at * stats.length + which]);
    }));
    this.data = data;
    const shape = JSON.stringify(lines);
    if (this.chart && (anew || shape !== this.shape)) { this.chart.destroy(); this.chart = null; }
    this.shape = shape;
    if (!lines.length) return;
    if (this.chart) this.chart.setData(drawnData);
    else this.chart = draw(this.plot, this.panel, lines, drawnData, this.view, (index) => this.point(index));
  }

  fit() {
    const width = this.plot.clientWidth;
    if (this.chart && width && width !== this.chart.width) this.chart.setSize({ width, height: this.chart.height });
  }

  /** The style of a series, or of a stat where there is one series: the next one that is free. */
  style(labels, stat) {
    const key = JSON.stringify([labels, stat]);
    if (!this.styles.has(key)) this.styles.set(key, this.styles.size);
    return this.styles.get(key);
  }

  /** Make the table and the choice of what is drawn, where groups or stats are others than before. */
  build() {
    const { panel, several } = this;
    const stats = panel.stats;
    const groups = panel.values.map((each) => each.labels);
    const form = JSON.stringify(groups);
    if (form === this.form) return;
    this.form = form;
    const swatch = (labels, stat) => make("span", { class: `swatch s${this.style(labels, stat) % STYLES}`, "aria-hidden": "true" });
    const row = (mark, text, cells) => make("tr", {}, make("th", { scope: "row" }, mark, text), ...cells);
    const cell = (at, stat) => make("td", { class: "n", "data-at": at, "data-stat": stat });
    if (several) {
      const heads = stats.length > 1 ? stats : []; // of a single one the caption tells enough
      this.head.replaceChildren(...heads.slice(0, 1).map(() => make("td")), ...heads.map((stat) => make("th", { scope: "col", class: "n" }, word(stat))));
      this.rows.replaceChildren(...groups.map((labels, at) => row(swatch(labels, null), named(labels, "all"), stats.map((stat) => cell(at, stat)))));
    } else {
      this.head.replaceChildren();
      this.rows.replaceChildren(...groups.flatMap((labels) => stats.map((stat) => row(swatch(labels, stat), named(labels, word(stat)), [cell(0, stat)]))));
    }
    this.choices.replaceChildren(...(several && stats.length > 1 ? stats : []).map((stat) => make("button", {
      type: "button", class: "chip", "aria-pressed": String(stat === this.chosen), onclick: () => this.choose(stat),
    }, word(stat))));
  }

  choose(stat) {
    this.chosen = stat;
    for (const button of this.choices.children) button.setAttribute("aria-pressed", String(button.textContent === word(stat)));
    this.redraw(true);
  }

  /** Show the numbers of a moment that is pointed at, or the newest. */
  point(index) {
    const { panel } = this;
    const past = index !== null && this.answer && this.data?.[0].length > index;
    const series = past ? drawn(this.answer).map((each) => JSON.stringify(each.labels)) : [];
    for (const cell of this.rows.querySelectorAll("td")) {
      const group = panel.values[cell.dataset.at];
      const stat = cell.dataset.stat;
      const at = past ? series.indexOf(JSON.stringify(group?.labels)) : -1;
      const column = 1 + at * (this.answer?.stats.length ?? 0) + (this.answer?.stats.indexOf(stat) ?? 0);
      const value = past ? (at < 0 ? null : this.data[column][index]) : group?.values[stat];
      say(cell, shown(value, panel.unit));
    }
    say(this.caption, past ? `at ${clock(this.data[0][index])}` : `last ${span(panel.seconds)}`);
  }

  remark() {
    const empty = this.answer && !drawn(this.answer).length && "nothing in this time";
    const cut = this.answer && this.answer.next !== null && `${this.answer.series.length} of ${this.answer.total} are drawn`;
    say(this.note, this.failed || this.panel.missing || empty || cut || "");
  }

  pressed(event) {
    const view = this.view;
    const acts = {
      "+": () => view.scale(0.5), "=": () => view.scale(0.5), "-": () => view.scale(2),
      ArrowLeft: () => view.move(-0.25), ArrowRight: () => view.move(0.25), 0: () => view.live(), Escape: () => view.live(),
    };
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }
}
