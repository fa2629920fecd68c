// All rows: searched, filtered, sorted, and of them only those drawn that can be seen.
import { colour, find, make } from "./dom.js";
import { counted } from "./format.js";
import { Row } from "./row.js";
import { asked, failing, note } from "./state.js";

const BEYOND = 12; // rows drawn beyond the edges of the screen
const CHOICES = ["file", "metric", "marker"];
const TEXTS = { test: (row) => row.test + row.name, metric: (row) => row.metric };
const NUMBERS = {
  verdict: (row) => row.order,
  now: (row) => row.value,
  change: (row) => row.ratio,
  memory: (row) => row.memoryRatio,
  moved: (row) => (row.moved ? -row.moved[0] : null),
};

const compare = (one, other) => {
  // A cell without a value stays at the end in both directions.
  if (one === null || other === null) return (one === null) - (other === null);
  return one < other ? -1 : Number(one > other);
};

export class Overview {
  constructor(content) {
    this.rows = content.rows.map((fields, rank) => new Row(fields, rank, content));
    this.shown = this.rows;
    this.runs = null;
    this.current = -1;
    this.wanted = { q: "", v: [], file: "", metric: "", marker: "", sort: "verdict" };
    this.marked = new Map(Object.entries(content.markers).map(([name, places]) => [name, new Set(places)]));
    this.table = find("rows");
    this.body = this.table.tBodies[0];
    this.search = find("search");
    this.chips = [...document.querySelectorAll(".chip")];
    this.table.classList.toggle("no-memory", !this.rows.some((row) => row.memory));
    this.choices("file", "All files", new Set(this.rows.map((row) => row.file)));
    this.choices("metric", "All metrics", new Set(content.metrics.map(([name]) => name).filter((name) => this.rows.some((row) => row.metric === name))));
    this.choices("marker", "All markers", this.marked.keys());
    find("marker").closest(".field").hidden = this.marked.size === 0;
    this.listen();
  }

  choices(id, all, names) {
    find(id).append(make("option", { value: "" }, all), ...[...names].map((name) => make("option", { value: name }, name)));
  }

  listen() {
    this.search.addEventListener("input", () => this.want({ q: this.search.value }));
    for (const id of CHOICES) find(id).addEventListener("change", (event) => this.want({ [id]: event.target.value }));
    for (const chip of this.chips) chip.addEventListener("click", () => this.toggle([chip.dataset.verdict]));
    for (const head of this.table.tHead.rows[0].cells) this.sortable(head);
    let waiting = false;
    const later = () => {
      if (!waiting) requestAnimationFrame(() => { waiting = false; this.draw(); });
      waiting = true;
    };
    addEventListener("scroll", later, { passive: true });
    addEventListener("resize", later);
    addEventListener("beforeprint", () => this.draw(true));
    addEventListener("afterprint", () => this.draw());
  }

  sortable(head) {
    const by = head.dataset.sort;
    if (!by) return;
    const button = make("button", { type: "button" }, ...head.childNodes);
    button.addEventListener("click", () => this.want({ sort: this.wanted.sort === by ? `-${by}` : by }));
    head.append(button);
  }

  /** Add verdicts to those that are asked for, or take them away. */
  toggle(verdicts) {
    const set = new Set(this.wanted.v);
    const there = verdicts.every((verdict) => set.has(verdict));
    for (const verdict of verdicts) if (there) set.delete(verdict); else set.add(verdict);
    this.want({ v: [...set] });
  }

  toggleFailing() { this.toggle(failing); }

  clear() { this.want({ q: "", v: [], file: "", metric: "", marker: "" }); }

  /** Ask for something else, and note it in the address. */
  want(changed) {
    Object.assign(this.wanted, changed);
    this.apply();
    note(this.parts());
  }

  parts() {
    const { q, v, file, metric, marker, sort } = this.wanted;
    return { q, v: v.join(","), file, metric, marker, sort: sort === "verdict" ? "" : sort };
  }

  /** Take what the address asks for. */
  restore() {
    const parts = asked();
    const sort = parts.get("sort") ?? "verdict";
    const by = sort.replace(/^-/, "");
    this.wanted = {
      q: parts.get("q") ?? "", v: (parts.get("v") ?? "").split(",").filter(Boolean), file: parts.get("file") ?? "",
      metric: parts.get("metric") ?? "", marker: parts.get("marker") ?? "", sort: by in TEXTS || by in NUMBERS ? sort : "verdict",
    };
    this.apply();
  }

  apply() {
    const { q, v, file, metric, marker, sort } = this.wanted;
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = new Set(v);
    this.shown = this.rows.filter((row) => (
      (!verdicts.size || verdicts.has(row.verdict)) && (!file || row.file === file) && (!metric || row.metric === metric)
      && (!marker || this.marked.get(marker)?.has(row.place))
      && words.every((word) => row.words.includes(word))));
    this.sort(sort.replace(/^-/, ""), sort.startsWith("-") ? -1 : 1);
    this.current = -1;
    this.tell(sort);
    this.draw();
  }

  sort(by, sign) {
    if (by in TEXTS) {
      const collator = new Intl.Collator("en", { numeric: true });
      this.shown.sort((one, other) => sign * collator.compare(TEXTS[by](one), TEXTS[by](other)) || one.order - other.order);
      return;
    }
    const value = NUMBERS[by];
    this.shown.sort((one, other) => {
      const [x, y] = [value(one), value(other)];
      return (x === null || y === null ? 1 : sign) * compare(x, y) || one.order - other.order;
    });
  }

  /** Bring what stands around the table in line with what is asked for. */
  tell(sort) {
    if (this.search.value !== this.wanted.q) this.search.value = this.wanted.q;
    for (const id of CHOICES) find(id).value = this.wanted[id];
    for (const chip of this.chips) chip.setAttribute("aria-pressed", String(this.wanted.v.includes(chip.dataset.verdict)));
    for (const head of this.table.tHead.rows[0].cells) {
      if (head.dataset.sort === sort.replace(/^-/, "")) head.setAttribute("aria-sort", sort.startsWith("-") ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    find("shown").textContent = this.shown.length === this.rows.length
      ? counted(this.rows.length, "row", "rows") : `${this.shown.length.toLocaleString("en")} of ${counted(this.rows.length, "row", "rows")}`;
    find("none").hidden = this.shown.length > 0;
    this.table.hidden = this.shown.length === 0;
    this.table.setAttribute("aria-rowcount", this.shown.length + 1);
  }

  /** Draw the rows that can be seen, or all, between two spaces as high as the rows before and after them. */
  draw(all = false) {
    if (!this.table.offsetParent) return; // on another page
    const height = parseFloat(colour("--row", this.table));
    const top = this.body.getBoundingClientRect().top;
    const first = all ? 0 : Math.max(Math.floor(-top / height) - BEYOND, 0);
    const last = all ? this.shown.length : Math.min(Math.max(Math.ceil((innerHeight - top) / height) + BEYOND, 0), this.shown.length);
    const begin = Math.min(first, last);
    const focused = this.body.contains(document.activeElement) ? this.current : -1;
    const drawn = this.shown.slice(begin, last).map((row, at) => this.element(row, begin + at));
    this.body.replaceChildren(this.space(begin * height), ...drawn, this.space((this.shown.length - last) * height));
    if (focused >= begin && focused < last) drawn[focused - begin].querySelector("a").focus({ preventScroll: true });
  }

  element(row, at) {
    const element = row.element(this.runs);
    element.setAttribute("aria-rowindex", at + 2);
    if (at === this.current) element.classList.add("current");
    element.querySelector("a").addEventListener("focus", () => { this.current = at; });
    return element;
  }

  space(height) {
    const row = make("tr", { class: "space", "aria-hidden": "true" });
    row.style.height = `${height}px`;
    return row;
  }

  /** Go to another row, by so many. */
  move(by) {
    if (!this.shown.length) return;
    this.current = Math.min(Math.max(this.current + by, 0), this.shown.length - 1);
    const height = parseFloat(colour("--row", this.table));
    const top = this.body.getBoundingClientRect().top + this.current * height;
    if (top < 80 || top + height > innerHeight - 20) scrollBy({ top: top - innerHeight / 2, behavior: "instant" });
    this.draw();
    this.body.querySelector(".current a").focus({ preventScroll: true });
  }

  /** The test after, or before, another one in the order that is shown. */
  neighbour(anchor, by) {
    const anchors = [...new Set(this.shown.map((row) => row.anchor))];
    return anchors[anchors.indexOf(anchor) + by];
  }
}
