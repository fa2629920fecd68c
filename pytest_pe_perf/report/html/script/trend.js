// A history as a chart: uPlot draws the lines, and overlay.js what else there is to say.
import { coloursOf, commitLink, make } from "./dom.js";
import { counted, day, quantity, when } from "./format.js";
import { drawOver, FONT, LANE } from "./overlay.js";
import { readText } from "./unpack.js";

const TALL = 250;
const LEAST_SPAN = 0.08; // of the level, above and below: a trend that moves by 1 % looks calm, as it is
const FAR = 2; // a level that is so many times the largest value would flatten the trend
const OVER_ZEROS = { s: 1e-6, B: 1024, 1: 4 }; // where an axis ends on which all is 0: a µs, a KiB, four
const TWOS = Array.from({ length: 60 }, (_, power) => 2 ** power);

/** Whether a level would flatten the trend; nothing flattens a line of zeros. */
const farAbove = (level, most) => most > 0 && level > FAR * most;

let library = null;

/** Have the chart library ready: to evaluate it takes as long as the first paint does without it. */
export const charts = () => {
  library ??= readText("d-uplot").then((text) => document.head.append(make("script", {}, text)));
  return library;
};

/** What a run was held against: the last value that had been accepted by then, as far as that is known. */
const inForce = (row, place) => (row.accepts.length ? row.accepts.findLast(([from]) => from <= place)?.[1] : row.base);

/** The columns of a chart: values with a hole where a run gave none, and where another environment begins. */
const columns = (points, runs, row) => {
  const { places, values, widths, accepted } = points;
  const table = [[], [], [], [], []];
  places.forEach((place, at) => {
    const before = places[at - 1];
    if (at && (before !== place - 1 || runs.runs[before][4] !== runs.runs[place][4])) {
      [place - 0.5, null, null, null, null].forEach((value, column) => table[column].push(value));
    }
    const half = Math.sqrt(widths[at] || 1);
    const base = accepted[at] ?? (place === runs.now ? row.base : inForce(row, place));
    const [low, high] = widths[at] ? [values[at] / half, values[at] * half] : [null, null];
    [place, low, high, base ?? null, values[at]].forEach((value, column) => table[column].push(value));
  });
  return table;
};

export class Trend {
  constructor(row, runs, range, zoomed) {
    Object.assign(this, { row, runs, range, zoomed });
    this.points = row.points();
    this.number = new Map(this.points.places.map((place, at) => [place, at]));
    this.plot = make("div", { class: "plot", tabindex: 0, role: "group", "aria-label": this.label() });
    this.note = make("p", { class: "note", role: "status" });
    this.element = make("figure", { class: `trend ${row.style}` }, this.plot, this.note, this.caption(), this.list());
    this.plot.addEventListener("keydown", (event) => this.key(event));
  }

  label() {
    const { values } = this.points;
    const known = values.filter(Number.isFinite);
    const span = `between ${quantity(Math.min(...known), this.row.unit)} and ${quantity(Math.max(...known), this.row.unit)}`;
    return `${this.row.title} over ${counted(known.length, "run", "runs")}, ${span}; a table follows`;
  }

  /** Find out what it needs to know of the page: of all charts before any is drawn, for the answer needs a layout. */
  measure(widest) {
    this.colours = coloursOf(this.element);
    this.width = Math.min(this.plot.clientWidth, widest);
  }

  draw() {
    this.chart?.destroy();
    const { colours } = this;
    const axis = { stroke: colours.muted, font: `${FONT}px system-ui, sans-serif`, ticks: { show: false }, gap: 6 };
    const line = { width: 1.5, spanGaps: false, points: { show: false } };
    this.chart = new uPlot({
      width: this.width,
      height: TALL,
      padding: [14, 36, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: true, y: false, setScale: false }, sync: { key: "runs", setSeries: false }, points: { size: 8, fill: colours.surface, stroke: colours.tone, width: 2 } },
      scales: { x: { time: false, range: () => this.window() }, y: { range: () => this.span() } },
      axes: [
        { ...axis, size: 50 + LANE, space: 84, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000], values: (_, splits) => splits.map((at) => this.runName(at)) },
        { ...axis, size: 78, space: 34, grid: { stroke: colours.line, width: 1 }, values: (_, splits) => splits.map((value) => quantity(value, this.row.unit)), ...(this.row.unit === "B" ? { incrs: TWOS } : {}) },
      ],
      bands: [{ series: [2, 1], fill: colours.band }],
      series: [
        {},
        { ...line, stroke: null },
        { ...line, stroke: null },
        { ...line, stroke: colours["strong-line"], dash: [7 * devicePixelRatio, 4 * devicePixelRatio], paths: uPlot.paths.stepped({ align: 1 }) },
        { ...line, stroke: colours.same, points: { show: true, size: 4, fill: colours.same, filter: (_, __, shown) => (shown || this.visible() <= 120 ? null : []) } },
      ],
      hooks: {
        draw: [() => drawOver(this)],
        setCursor: [(chart) => this.point(chart.cursor.idx)],
        setSelect: [(chart) => this.select(chart)],
      },
    }, columns(this.points, this.runs, this.row), this.plot);
    this.plot.ondblclick = () => this.zoomed(null);
    if (this.note.textContent === "") this.tell(this.points.places.length - 1);
  }

  window() {
    if (this.range) return [this.range[0] - 0.5, this.range[1] + 0.5];
    const { places } = this.points;
    const [first, last] = [places[0], places.at(-1)];
    return first === last ? [first - 1, last + 1] : [first - 0.5, last + 0.5];
  }

  visible() { const [from, to] = this.window(); return to - from; }

  levels() { return [this.row.base, this.row.limit, ...this.row.accepts.map(([, value]) => value)].filter((each) => each !== null); }

  /** From where to where the values go that are seen, with what they are held against where that is near. */
  span() {
    const [from, to] = this.window();
    const seen = this.points.values.filter((value, at) => value !== null && this.points.places[at] >= from && this.points.places[at] <= to);
    if (!seen.length) return [0, 1];
    const [least, most] = [Math.min(...seen), Math.max(...seen)];
    const near = [...this.levels(), this.row.budget].filter((each) => each !== null && each >= least / FAR && !farAbove(each, most));
    const all = [...seen, ...near];
    const [low, high] = [Math.min(...all), Math.max(...all)];
    if (high === 0) return [0, OVER_ZEROS[this.row.unit]];
    const middle = (low + high) / 2;
    const half = Math.max((high - low) / 2 * 1.15, Math.abs(middle) * LEAST_SPAN, 1e-12);
    return [low >= 0 ? Math.max(middle - half, 0) : middle - half, middle + half];
  }

  runName(at) {
    const run = Number.isInteger(at) ? this.runs.runs[at] : undefined;
    return run ? `${day(run[0])}\n${run[1].slice(0, 7)}` : "";
  }

  // --- pointing and zooming

  point(index) {
    if (index === null || index === undefined) return;
    const at = this.number.get(this.chart.data[0][index]);
    if (at !== undefined) this.tell(at);
  }

  /** Say what a point is. */
  tell(at) {
    this.at = at;
    const { places, values, widths, verdicts } = this.points;
    const [started, commit, branch, dirty, environment] = this.runs.runs[places[at]];
    const half = widths[at] ? ` ± ${(100 * (Math.sqrt(widths[at]) - 1)).toFixed(1)} %` : "";
    const differences = this.runs.differences.filter(([place]) => place === places[at]).map(([, name, old, now]) => `${name}: ${old} → ${now}`);
    const words = [
      when(started), values[at] === null ? "no number" : quantity(values[at], this.row.unit) + half, this.runs.verdicts[verdicts[at]][0], branch,
      dirty ? "uncommitted changes" : "", this.runs.environments[environment], ...differences,
    ];
    this.note.replaceChildren(commitLink(commit), make("bdi", {}, ` ${words.filter(Boolean).join(" · ")}`));
  }

  select(chart) {
    const { left, width } = chart.select;
    if (width < 4) return;
    chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.zoom(chart.posToVal(left, "x"), chart.posToVal(left + width, "x"));
  }

  zoom(from, to) {
    const last = this.runs.runs.length - 1;
    const [first, end] = [Math.max(Math.round(from), 0), Math.min(Math.round(to), last)];
    if (end > first) this.zoomed([first, end]);
  }

  show(range) {
    this.range = range;
    this.chart.redraw(false, true);
    this.chart.setScale("x", { min: this.window()[0], max: this.window()[1] });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const [from, to] = this.window();
    const middle = this.points.places[this.at], quarter = (to - from) / 4;
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key in steps) {
      const at = Math.min(Math.max(this.at + steps[event.key], 0), this.points.places.length - 1);
      const place = this.points.places[at];
      this.chart.setCursor({ left: this.chart.valToPos(place, "x"), top: 10 });
      this.tell(at);
    } else if (event.key === "+") this.zoom(middle - quarter, middle + quarter);
    else if (event.key === "-") this.zoom(middle - 4 * quarter, middle + 4 * quarter);
    else if (event.key === "0") this.zoomed(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // --- in words

  caption() {
    const { row } = this;
    const { places, values } = this.points;
    const missing = places.at(-1) - places[0] + 1 - places.length;
    const remarks = [
      values.length === 1 && "one run so far: a trend needs more",
      missing > 0 && `${counted(missing, "run", "runs")} in between gave no number`,
      row.changes === null && "not searched for changes of level, as the rows that matter more are: pe-perf history --changes",
      row.budget !== null && farAbove(row.budget, Math.max(...values)) && "the budget lies far above this chart",
      values.length > 1 && values.every((value) => value === 0) && `${quantity(0, row.unit)} in every run`,
    ].filter(Boolean);
    return make("figcaption", {},
      make("span", { class: "key k-line" }, row.title),
      this.points.widths.some(Boolean) && make("span", { class: "key k-band" }, "95 % interval"),
      row.base !== null && make("span", { class: "key k-accepted" }, `${row.word_of_base} ${quantity(row.base, row.unit)}`),
      row.limit !== null && make("span", { class: "key k-threshold" }, `fails beyond ${quantity(row.limit, row.unit)}`),
      ...remarks.map((remark) => make("span", { class: "remark" }, remark)));
  }

  /** The points as a table, made when somebody opens it. */
  list() {
    const details = make("details", { class: "points" }, make("summary", {}, "All points as a table"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.querySelector("table")) return;
      const { places, values, verdicts } = this.points;
      const lines = places.map((place, at) => {
        const [started, commit, , , environment] = this.runs.runs[place];
        const cells = [when(started), commitLink(commit), values[at] === null ? "" : quantity(values[at], this.row.unit), this.runs.verdicts[verdicts[at]][0], this.runs.environments[environment]];
        return make("tr", {}, ...cells.map((cell) => make("td", {}, cell)));
      });
      const heads = ["run", "commit", this.row.title, "verdict", "environment"].map((head) => make("th", { scope: "col" }, head));
      details.append(make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "All points" },
        make("table", { class: "plain" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...lines.reverse()))));
    }, { once: false });
    return details;
  }
}
