// The page of one test: of each of its numbers what was decided and why, its history, and how its readings scatter.
import { badge, commandLine, commitLink, make, told } from "./dom.js";
import { scatter } from "./drawing.js";
import { flame } from "./flame.js";
import { quantity } from "./format.js";
import { rounds } from "./rounds.js";
import { asked, note } from "./state.js";
import { Trend } from "./trend.js";

const facts = (list) => make("dl", { class: "facts" }, ...list.map(([name, value]) => (
  make("div", {}, make("dt", {}, name), make("dd", {}, told(value))))));

const hint = ([text, commit, command]) => make("li", {}, text,
  commit && " (", commit && commitLink(commit), commit && ")", command && make("code", { dir: "ltr" }, command));

/** What was accepted, when, by whom and why; the newest first. */
const acceptList = (row) => make("ul", { class: "accepts" }, ...row.accepts.toReversed().map(([, value, anchor, commit, when, who, reason]) => (
  make("li", {}, make("span", { class: "muted" }, when), " ", commitLink(commit), " ", make("strong", {}, quantity(value, row.unit)),
    who && " by ", who && told(who), reason && ": ", reason && told(reason),
    anchor !== null && make("span", { class: "muted" }, ` (a creep is measured from ${quantity(anchor, row.unit)})`)))));

export class TestPage {
  constructor(element, runs, test, anchor) {
    Object.assign(this, { element, runs, test, anchor, trends: [] });
    const parts = asked();
    this.metric = parts.get("m") ?? "";
    this.range = this.wanted(parts.get("r"));
  }

  /** The runs that the address asks for, from and to. */
  wanted(text) {
    const [from, to] = (text ?? "").split("-").map(Number);
    return from >= 0 && to > from && to < this.runs.runs.length ? [from, to] : null;
  }

  /** Build it; it has to be seen, for a chart needs to know its width. */
  fill() {
    const [worst] = this.test.rows;
    const [file, ...rest] = this.test.test.split("::");
    const unjudged = this.test.unjudged.length ? [make("section", { class: "row" }, make("h2", {}, "Shown, not judged"), facts(this.test.unjudged))] : [];
    this.element.replaceChildren(
      make("p", { class: "crumbs" },
        make("a", { href: "#", class: "back" }, "← All tests"),
        make("span", { class: "steps" },
          make("button", { type: "button", class: "quiet", "data-step": -1 }, "Previous"), " ",
          make("button", { type: "button", class: "quiet", "data-step": 1 }, "Next"))),
      make("header", { class: `test-head ${worst.style}` },
        make("p", { class: "muted file" }, told(rest.length ? file : "")),
        make("h1", { tabindex: -1 }, told(rest.length ? rest.join("::") : file)),
        badge(worst.style, worst.sign, worst.word)),
      ...this.test.rows.map((row) => this.section(row)),
      ...unjudged,
      make("section", { class: "row" }, make("h2", {}, "Commands"), ...worst.commands.map(([label, text]) => commandLine(label, text, ""))));
    this.draw();
    if (this.range) this.noteRange();
    this.element.querySelector("h1").focus({ preventScroll: true });
    scrollTo({ top: 0, behavior: "instant" });
    const chosen = this.metric !== worst.metric && this.element.querySelector(`[data-metric="${CSS.escape(this.metric)}"]`);
    if (chosen) chosen.scrollIntoView({ behavior: "instant" });
  }

  section(row) {
    const section = make("section", { class: `row ${row.style}`, "data-metric": row.metric },
      make("h2", {}, row.title, row.name && make("span", { class: "name" }, " [", told(row.name), "]"), " ", badge(row.style, row.sign, row.word)),
      make("p", { class: "figure" }, make("strong", {}, row.headline)),
      row.reason && make("p", { class: "reason" }, row.reason),
      row.hints.length > 0 && make("ul", { class: "hints" }, ...row.hints.map(hint)),
      row.accepted && make("p", { class: "accepted" }, make("strong", {}, "Accepted: "), row.accepted),
      row.pass && make("p", { class: "muted" }, row.pass),
      facts(row.facts));
    if (row.flame) section.append(...flame(row.flame));
    if (row.sides) section.append(make("h3", {}, "Readings"), scatter(row.sides));
    if (row.pairs.length) section.append(make("h3", {}, "Head over base, round after round"), rounds(row));
    section.append(make("h3", {}, "History"));
    if (!row.course.at.length) {
      section.append(make("p", { class: "muted" }, "No run gave a number yet."));
      return section;
    }
    const trend = new Trend(row, this.runs, this.range, (range) => this.zoom(range));
    this.trends.push(trend);
    section.append(trend.element);
    if (row.accepts.length) section.append(make("h3", {}, "Accepted values"), acceptList(row));
    return section;
  }

  /** Show other runs, in all charts; null is all of them. */
  zoom(range) {
    this.range = range;
    for (const trend of this.trends) trend.show(range);
    this.noteRange();
  }

  noteRange() {
    note({ t: this.anchor, m: this.metric, r: this.range ? this.range.join("-") : "" });
    this.element.querySelector(".whole")?.remove();
    if (!this.range) return;
    const button = make("button", { type: "button", class: "quiet whole" }, "Whole history");
    button.addEventListener("click", () => this.zoom(null));
    this.element.querySelector(".steps").prepend(button);
  }

  draw(widest = Infinity) {
    for (const trend of this.trends) trend.measure(widest);
    for (const trend of this.trends) trend.draw();
  }
}
