// What a chart draws: the answer to a query as columns that share their times.

import { ask } from "./api.js";

export const POINTS = 300;

const FRESH = 20_000; // milliseconds
let held = null; // names of metrics, to come
let since = 0;

/** Whether there is a metric: to ask for one that is not there would be an error. */
export const exists = async (metric) => {
  if (held === null || Date.now() - since > FRESH) {
    since = Date.now();
    held = ask("metrics").then(({ metrics }) => new Set(metrics.map((each) => each.name)));
    held.catch(() => { held = null; });
  }
  return (await held).has(metric);
};

const AHEAD = 0.5; // of an interval, by which it may begin after the one before ended

/** The query of a panel from `from` to `to`; whole steps, so that the same points are put together next time. */
export const query = (panel, from, to) => {
  const step = (to - from) / POINTS;
  const asked = new URLSearchParams({ metric: panel.metric, points: POINTS + 1 });
  asked.set("start", Math.max(Math.floor(from / step) * step, 0));
  asked.set("end", Math.ceil(to / step) * step);
  for (const [label, value] of Object.entries(panel.labels)) asked.set(`label.${label}`, value);
  for (const stat of panel.stats) asked.append("stat", stat);
  for (const metric of panel.of) asked.append("of", metric);
  if (panel.by !== null) for (const label of panel.by.length ? panel.by : [""]) asked.append("by", label);
  return `query?${asked}`;
};

/** Times and numbers, with a hole where something is missing: uPlot breaks a line at null, and not at undefined. */
const holed = (series, stats) => {
  const times = [];
  const values = stats.map(() => []);
  series.time.forEach((time, at) => {
    const begin = time - series.seconds[at];
    if (at && begin - series.time[at - 1] > AHEAD * series.seconds[at]) {
      times.push((series.time[at - 1] + begin) / 2);
      values.forEach((each) => each.push(null));
    }
    times.push(time);
    stats.forEach((stat, which) => values[which].push(series.values[stat][at] ?? undefined));
  });
  return [times, ...values];
};

/** The columns of all series: times, then for each series its stats. */
export const columns = (answer) => {
  const tables = answer.series.filter((each) => each.time.length).map((each) => holed(each, answer.stats));
  return tables.length ? uPlot.join(tables) : [[]];
};

/** The series that have points, in the order of `columns`. */
export const drawn = (answer) => answer.series.filter((each) => each.time.length);
