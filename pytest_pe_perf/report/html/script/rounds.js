// Head over base in the order of time: drift and outliers show, and so does which pair of processes went astray.
import { make, svg } from "./dom.js";
import { change, counted } from "./format.js";

const WIDTH = 1000, HEIGHT = 180, EDGE = 8;
const GAP = 2; // blocks between two pairs

const ratio = (log) => Math.exp(log / 1e4);

/** Where the changes that are to be seen begin and end, as logarithms. */
const extent = (row) => {
  const logs = row.pairs.flatMap(([values]) => values).sort((one, other) => one - other);
  const at = (share) => logs[Math.round(share * (logs.length - 1))];
  const held = row.interval ? row.interval.filter((each) => each !== null).map((each, place) => 1e4 * Math.log(place < 2 ? each : 1 + each)) : [];
  // A few rounds lie far off: they stand at the edge, lest all the others lie on a line.
  const [low, high] = [Math.min(at(0.01), 0, ...held), Math.max(at(0.99), 0, ...held)];
  const room = Math.max((high - low) * 0.08, 20);
  return [low - room, high + room];
};

export const rounds = (row) => {
  const [low, high] = extent(row);
  const y = (log) => Math.min(Math.max(HEIGHT * (high - log) / (high - low), 2), HEIGHT - 2);
  const total = row.pairs.reduce((sum, [logs]) => sum + logs.length + GAP, -GAP);
  const x = (at) => EDGE + (WIDTH - 2 * EDGE) * (at + 0.5) / total;
  const drawing = svg("svg", { class: "rounds", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const across = (name, log) => drawing.append(svg("line", { class: name, x1: 0, x2: WIDTH, y1: y(log), y2: y(log) }));
  if (row.interval) {
    const [from, to, threshold] = row.interval;
    const [top, bottom] = [y(1e4 * Math.log(to ?? 1)), y(1e4 * Math.log(from ?? 1))];
    drawing.append(svg("rect", { class: "interval", x: 0, width: WIDTH, y: top, height: Math.max(bottom - top, 1) }));
    if (threshold !== null) across("limit", 1e4 * Math.log(1 + threshold));
  }
  across("zero", 0);
  let at = 0, disturbed = 0;
  for (const [logs, off, middle, again] of row.pairs) {
    const gone = new Set(off);
    disturbed += off.length;
    logs.forEach((log, place) => drawing.append(
      // A line of no length with round ends is a dot, however the drawing is stretched.
      svg("path", { class: gone.has(place) ? "off" : again ? "again" : "first", d: `M${x(at + place)} ${y(log)}h0` })));
    drawing.append(svg("line", { class: "middle", x1: x(at - 0.5), x2: x(at + logs.length - 0.5), y1: y(middle), y2: y(middle) }));
    at += logs.length + GAP;
  }
  const passes = [0, 1].map((pass) => row.pairs.filter(([, , , again]) => again === pass).length);
  const middles = row.pairs.map(([, , middle]) => ratio(middle));
  const words = `${counted(row.pairs.length, "pair", "pairs")} of processes, medians from ${change(Math.min(...middles))} to ${change(Math.max(...middles))}`;
  return make("figure", { class: `by-round ${row.style}`, role: "img", "aria-label": words },
    make("div", { class: "y", "aria-hidden": "true" }, make("span", {}, change(ratio(high))), make("span", {}, change(ratio(low)))),
    drawing,
    make("figcaption", {},
      make("span", { class: "key k-middle" }, words),
      make("span", { class: "key k-dots" }, passes[1] ? `rounds; ${passes[0]} pairs of the first pass, then ${passes[1]} of the second` : "rounds"),
      row.interval && make("span", { class: "key k-band" }, "95 % interval"),
      disturbed > 0 && make("span", {}, `${counted(disturbed, "round was", "rounds were")} disturbed and left out (faint)`)));
};
