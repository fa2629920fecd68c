// What is drawn over the lines of a chart: levels, changes of level, verdicts, and the environment beneath the axis.
import { quantity } from "./format.js";

export const FONT = 12, LANE = 14;

/** A canvas to draw on in pixels of the screen, with where the chart's own area ends. */
class Pen {
  constructor({ chart, colours, row, runs, points }) {
    Object.assign(this, { chart, colours, row, runs, points, ctx: chart.ctx, ratio: devicePixelRatio });
    const { left, top, width, height } = chart.bbox;
    Object.assign(this, { left, top, right: left + width, bottom: top + height });
  }

  x(place) { return this.chart.valToPos(place, "x", true); }

  y(value) { return this.chart.valToPos(value, "y", true); }

  seen(x) { return x >= this.left && x <= this.right; }

  /** Words that can be read over whatever line they stand on. */
  say(words, x, y) {
    const { ctx } = this;
    ctx.save();
    ctx.setLineDash([]);
    ctx.lineJoin = "round";
    ctx.lineWidth = 4 * this.ratio;
    ctx.strokeStyle = this.colours.surface;
    ctx.strokeText(words, x, y);
    ctx.restore();
    ctx.fillText(words, x, y);
  }

  line(x1, y1, x2, y2, dash = []) {
    this.ctx.setLineDash(dash.map((each) => each * this.ratio));
    this.ctx.beginPath();
    this.ctx.moveTo(x1, y1);
    this.ctx.lineTo(x2, y2);
    this.ctx.stroke();
  }
}

/** A value that the row is held against; null is none. */
const level = (pen, value, words, dash, line, text) => {
  const y = value === null ? -1 : pen.y(value);
  if (y < pen.top || y > pen.bottom) return;
  const { ctx, colours, ratio } = pen;
  ctx.strokeStyle = colours[line];
  ctx.fillStyle = colours[text];
  pen.line(pen.left, y, pen.right, y, dash);
  ctx.textAlign = "left";
  pen.say(`${words} ${quantity(value, pen.row.unit)}`, pen.left + 6 * ratio, y - 4 * ratio);
};

const levelChange = (pen, [place, before, after, size, settled]) => {
  const { ctx, colours, ratio, left, right, top, bottom } = pen;
  const x = pen.x(place - 0.5);
  if (!pen.seen(x)) return;
  const worse = after > before;
  ctx.strokeStyle = worse ? colours.worse : colours.better;
  ctx.fillStyle = worse ? colours["worse-text"] : colours["better-text"];
  pen.line(x, top, x, bottom, settled ? [] : [3, 3]);
  const late = x > left + 0.85 * (right - left);
  ctx.textAlign = late ? "right" : "left";
  pen.say(`${worse ? "▲" : "▼"} ${size}`, x + (late ? -5 : 5) * ratio, top + 11 * ratio);
};

/** The sign of each verdict that was not plain, and a ring around this run. */
const marks = (pen) => {
  const { ctx, colours, ratio, runs } = pen;
  const { places, values, verdicts } = pen.points;
  const tones = { "v-improved": colours.better, "v-regressed": colours.worse, "v-over-budget": colours.worse };
  ctx.setLineDash([]);
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  places.forEach((place, at) => {
    const [, style, sign] = runs.verdicts[verdicts[at]];
    const now = place === runs.now;
    if (values[at] === null || !(now || (sign && sign !== "=" && sign !== "+"))) return;
    const [x, y] = [pen.x(place), pen.y(values[at])];
    if (!pen.seen(x)) return;
    if (now) {
      ctx.beginPath();
      ctx.arc(x, y, 6 * ratio, 0, 2 * Math.PI);
      ctx.fillStyle = colours.tone;
      ctx.strokeStyle = colours.surface;
      ctx.fill();
      ctx.stroke();
    } else {
      ctx.fillStyle = tones[style] ?? colours.open;
      ctx.fillText(sign, x, y);
    }
  });
  ctx.textBaseline = "alphabetic";
};

/** Beneath the axis: which environment the runs are of, and where something else about the machine changed. */
const lane = (pen, [from, to]) => {
  const { ctx, colours, ratio, left, right, runs } = pen;
  const top = pen.bottom + 42 * ratio;
  let start = Math.max(Math.ceil(from), 0);
  const end = Math.min(Math.floor(to), runs.runs.length - 1);
  ctx.textBaseline = "middle";
  ctx.textAlign = "left";
  while (start <= end) {
    const environment = runs.runs[start][4];
    let last = start;
    while (last < end && runs.runs[last + 1][4] === environment) last += 1;
    const [x1, x2] = [Math.max(pen.x(start - 0.5), left), Math.min(pen.x(last + 0.5), right)];
    ctx.fillStyle = environment % 2 ? colours["lane-odd"] : colours.lane;
    ctx.fillRect(x1, top, x2 - x1 - ratio, LANE * ratio);
    ctx.save();
    ctx.beginPath();
    ctx.rect(x1, top, x2 - x1 - 4 * ratio, LANE * ratio);
    ctx.clip();
    ctx.fillStyle = colours.muted;
    ctx.fillText(runs.environments[environment], x1 + 5 * ratio, top + LANE * ratio / 2);
    ctx.restore();
    start = last + 1;
  }
  ctx.fillStyle = colours.open;
  for (const place of new Set(runs.differences.map(([at]) => at))) {
    const x = pen.x(place - 0.5);
    if (pen.seen(x)) ctx.fillRect(x - ratio, top - 3 * ratio, 2 * ratio, (LANE + 6) * ratio);
  }
  ctx.textBaseline = "alphabetic";
};

export const drawOver = (trend) => {
  const pen = new Pen(trend);
  const { ctx, ratio, row } = pen;
  ctx.save();
  ctx.font = `${FONT * ratio}px system-ui, sans-serif`;
  ctx.lineWidth = ratio;
  ctx.beginPath();
  const room = 8 * ratio; // for the mark of this run, which often stands at the edge
  ctx.rect(pen.left - room, 0, pen.right - pen.left + 2 * room, ctx.canvas.height);
  ctx.clip();
  level(pen, row.limit, "fails beyond", [2, 4], "worse", "worse-text");
  level(pen, row.budget, "budget", [], "worse", "worse-text");
  level(pen, row.accepts.at(-1)?.[2] ?? null, "a creep is measured from", [1, 3], "muted", "muted");
  for (const change of row.changes ?? []) levelChange(pen, change);
  marks(pen);
  lane(pen, trend.window());
  ctx.restore();
};
