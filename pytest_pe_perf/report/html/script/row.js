// A row of the overview: what it is found by, and how it looks.
import { badge, make, told } from "./dom.js";
import { intervalBar, sparkline } from "./drawing.js";
import { linkTo } from "./state.js";

export class Row {
  constructor(fields, rank, overview) {
    [
      this.place, this.test, this.name, this.metricNumber, this.rank, this.weak, this.value, this.now, this.ratio, this.low,
      this.high, this.threshold, this.change, this.memory, this.memoryRank, this.memoryRatio, this.drawing, this.moved, this.reason,
    ] = fields;
    this.order = rank;
    [this.verdict, this.style, this.sign] = overview.verdicts[this.rank];
    [this.metric, this.title, this.unit] = overview.metrics[this.metricNumber];
    this.anchor = overview.anchors[this.place];
    this.file = this.test.split("::", 1)[0];
    this.words = `${this.test} ${this.name} ${this.metric} ${this.verdict} ${this.weak ? "weak" : ""}`.toLowerCase();
    this.memoryStyle = this.memoryRank === null ? "" : overview.verdicts[this.memoryRank][1];
  }

  get link() { return linkTo({ t: this.anchor, m: this.metric }); }

  /** The last step of its history that was a change of level, in words. */
  movedWords(runs) {
    if (!this.moved || !runs) return "";
    const [place, size] = this.moved;
    return `${size || "moved"} ${runs.runs[place][0].slice(0, 10)}`;
  }

  element(runs) {
    const word = this.weak ? `${this.verdict}, weak` : this.verdict;
    const style = this.weak ? `${this.style} weak` : this.style;
    const [file, ...rest] = this.test.split("::");
    // What tells rows of one width apart is the test's own name: the file stands beneath it.
    const beneath = [rest.length ? file : "", this.reason].filter(Boolean).join(" · ");
    const interval = this.ratio !== null && this.low !== this.high && this.threshold > 0;
    const moved = this.movedWords(runs);
    return make("tr", { class: style },
      make("td", { class: "verdict-cell" }, badge(style, this.sign, word)),
      make("td", { class: "id" },
        make("a", { href: this.link, title: this.test }, make("b", {}, told(rest.length ? rest.join("::") : file))),
        this.name && make("span", { class: "name" }, " [", told(this.name), "]"),
        beneath && make("span", { class: "why", title: beneath }, told(beneath))),
      make("td", { class: "metric", title: this.title }, this.metric),
      make("td", { class: "n now" }, this.now),
      make("td", { class: "n change" }, this.change),
      make("td", { class: "interval" }, interval ? intervalBar(this.ratio, this.low, this.high, this.threshold) : ""),
      make("td", { class: `n memory ${this.memoryStyle}` }, this.memory),
      make("td", { class: "history" },
        this.drawing && sparkline(this.drawing, `history of ${this.metric}${moved ? `, ${moved}` : ""}`),
        moved && make("span", { class: "moved" }, moved)));
  }
}
