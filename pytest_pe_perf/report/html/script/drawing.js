// Small drawings: a history, an interval, and how readings scatter.
import { make, svg } from "./dom.js";

const FIRST_LEVEL = 48, LEVELS = 64, STEP = 3;
const BAR_THRESHOLDS = 3; // to either side
const BAR = 120;

/** A history of at most 40 characters, each a level; a blank is a gap. */
export const sparkline = (levels, label) => {
  const drawing = svg("svg", { class: "spark", viewBox: `0 -6 ${STEP * 39} ${LEVELS + 12}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  let path = "", drawn = false, last = null;
  const first = 40 - levels.length;
  [...levels].forEach((level, at) => {
    if (level === " ") { drawn = false; return; }
    last = [STEP * (first + at), LEVELS - 1 - (level.charCodeAt(0) - FIRST_LEVEL)];
    path += `${drawn ? "L" : "M"}${last.join(" ")}`;
    drawn = true;
  });
  drawing.append(svg("path", { d: path }));
  if (last) drawing.append(svg("path", { class: "end", d: `M${last.join(" ")}h0` }));
  return drawing;
};

/** An interval of ratios; the threshold stands to either side, and what lies beyond the edge still shows its end. */
export const intervalBar = (ratio, low, high, threshold) => {
  const span = BAR_THRESHOLDS * threshold;
  const place = (each) => Math.min(Math.max(0.5 + (each - 1) / span / 2, 0), 1) * BAR;
  const left = Math.min(place(low), BAR - 4);
  const limit = 0.5 / BAR_THRESHOLDS;
  return svg("svg", { class: "bar", viewBox: `0 0 ${BAR} 12`, "aria-hidden": "true" },
    svg("line", { class: "zero", x1: BAR / 2, x2: BAR / 2, y1: 0, y2: 12 }),
    svg("line", { class: "limit", x1: (0.5 + limit) * BAR, x2: (0.5 + limit) * BAR, y1: 0, y2: 12 }),
    svg("rect", { class: "span", x: left, y: 3, height: 6, width: Math.max(place(high) - left, 4), rx: 2 }),
    svg("circle", { class: "dot", cx: place(ratio), cy: 6, r: 3 }));
};

/** How the readings of each side scatter: 90 % of them, half of them, each process's median, and theirs. */
export const scatter = (sides) => {
  const strips = sides.strips.flatMap((strip) => {
    const drawing = svg("svg", { class: `strip of-${strip.side}`, "aria-hidden": "true" });
    const between = (name, span, y, height) => span && drawing.append(
      svg("rect", { class: name, x: `${span[0]}%`, width: `${span[1]}%`, y, height }));
    between("whisker", strip.whisker, 8, 2);
    between("box", strip.box, 4, 10);
    for (const dot of strip.dots) drawing.append(svg("circle", { class: "dot", cx: `${dot}%`, cy: 9, r: 2.5 }));
    drawing.append(svg("line", { class: "middle", x1: `${strip.middle}%`, x2: `${strip.middle}%`, y1: 1, y2: 17 }));
    return [
      make("span", { class: "side", "aria-hidden": "true" }, strip.side),
      drawing,
      make("span", { class: "words muted", "aria-hidden": "true" }, strip.words),
    ];
  });
  return make("figure", { class: "sides", role: "img", "aria-label": sides.label }, ...strips,
    make("div", { class: "ends muted", "aria-hidden": "true" }, make("span", {}, sides.left), make("span", {}, sides.right)));
};
