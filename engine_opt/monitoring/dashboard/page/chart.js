// A chart of lines over time, in the page's colours: uPlot does the drawing.
import { clock, day, shown } from "./format.js";

export const STYLES = 8; // of lines: colours --c0 to --c7, each with its own dash
const DASHES = [[], [8, 4], [2, 3]]; // as in the style sheet
const HEIGHT = 190;
const FONT = "12px system-ui, sans-serif";

const [MINUTE, HOUR, DAY] = [60, 3600, 86400];
/** Seconds between two labels of the time axis. */
const STEPS = [1, 2, 5, 10, 15, 30].concat(
  [1, 2, 5, 10, 15, 30].map((each) => each * MINUTE),
  [1, 2, 3, 6, 12].map((each) => each * HOUR),
  [1, 2, 7, 14, 30, 60, 180].map((each) => each * DAY),
);

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Labels of the time axis: as short as tells them apart. */
const times = (chart, splits, axis, space, increment) => splits.map((time, at) => {
  if (increment >= DAY) return day(time);
  const text = clock(time, { seconds: increment < MINUTE });
  const turned = at && day(time) !== day(splits[at - 1]);
  return turned ? day(time) : text;
});

const ranges = {
  // A quantile and another one, or a pause and a long pause, lie decades apart.
  s: (low, high) => (low > 0 ? uPlot.rangeLog(low / 1.3, high * 1.3, 10, false) : [1e-6, 1e-3]),
  share: (low, high) => [0, Math.max(1, high ?? 1)],
  other: (low, high) => [0, 1.1 * (high || 1)],
};

/** Whether a value is a power of ten. */
const decade = (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;

const dashedLine = (chart, target) => {
  const { ctx, bbox } = chart;
  const y = chart.valToPos(target.value, "y", true);
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour("--worse-text");
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.textAlign = "right";
  ctx.textBaseline = "top";
  ctx.font = FONT.replace("12px", `${12 * devicePixelRatio}px`);
  ctx.fillText(target.label, bbox.left + bbox.width - 4 * devicePixelRatio, y + 4 * devicePixelRatio);
  ctx.restore();
};

/**
 * Draw `lines` ({ label, style }) of `data`; `view` says what is seen and takes what is chosen with the pointer.
 * `pointed(index)` hears which column the pointer is over, null where it is over none.
 */
export const draw = (element, panel, lines, data, view, pointed) => {
  const range = ranges[panel.unit] ?? ranges.other;
  const axis = { stroke: colour("--muted"), font: FONT, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const alone = lines.length === 1;
  const logarithmic = panel.unit === "s";
  const major = (_, splits) => splits.map((each) => (logarithmic && !decade(each) ? null : each));
  return new uPlot({
    width: element.clientWidth,
    height: HEIGHT,
    padding: [10, 16, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: true, y: false, setScale: false },
      sync: { key: "all", setSeries: false },
      bind: { dblclick: () => () => { view.live(); return null; } },
    },
    scales: {
      x: { time: true, range: () => view.window() },
      y: {
        distr: logarithmic ? 3 : 1,
        range: (_, low, high) => range(low, panel.target ? Math.max(high ?? 0, panel.target.value) : high),
      },
    },
    axes: [
      { ...axis, values: times, incrs: STEPS, size: 26, gap: 6, space: (_, __, from, to) => (to - from < 200 ? 72 : 50), grid: { show: false } },
      {
        ...axis, size: 62, gap: 6, space: 28,
        filter: major,
        grid: { ...axis.grid, filter: major },
        values: (_, splits) => splits.map((each) => (each === null ? null : shown(each, panel.unit))),
      },
    ],
    series: [{}, ...lines.map(({ label, style }) => ({
      label,
      stroke: colour(`--c${style % STYLES}`),
      fill: alone && !logarithmic ? colour("--fill") : undefined,
      dash: DASHES[style % DASHES.length].map((each) => each * devicePixelRatio),
      width: 1.75,
      points: { size: 4, fill: colour(`--c${style % STYLES}`) },
    }))],
    hooks: {
      draw: [(chart) => { if (panel.target) dashedLine(chart, panel.target); }],
      setCursor: [(chart) => pointed(chart.cursor.idx ?? null)],
      setSelect: [(chart) => {
        const { left, width } = chart.select;
        if (width < 4) return;
        view.zoom(chart.posToVal(left, "x"), chart.posToVal(left + width, "x"));
        chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
    },
  }, data, element);
};
