// Numbers, durations and times as people read them.

const SCALES = {
  s: [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]],
  B: [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]],
};

/** Three digits that count, without trailing zeros. */
export const digits = (value) => {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6) return value.toExponential(2);
  if (size >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
};

/** A value in its unit: `s`, `B`, `1/s`, `1` or `share`. */
export const shown = (value, unit) => {
  if (value === null || value === undefined) return "–";
  if (unit === "share") return `${digits(100 * value)} %`;
  const scales = SCALES[unit];
  if (!scales) return unit === "1/s" ? `${digits(value)}/s` : digits(value);
  if (value === 0) return `0 ${unit}`;
  const [scale, name] = scales.find(([each]) => Math.abs(value) >= each) || scales.at(-1);
  return `${digits(value / scale)} ${name}`;
};

const two = (number) => String(number).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Time of day in this zone, of seconds since the epoch. */
export const clock = (time, { seconds = true } = {}) => {
  const when = new Date(1000 * time);
  return `${two(when.getHours())}:${two(when.getMinutes())}${seconds ? `:${two(when.getSeconds())}` : ""}`;
};

export const day = (time) => {
  const when = new Date(1000 * time);
  return `${when.getDate()} ${MONTHS[when.getMonth()]}`;
};

export const moment = (time, options) => `${day(time)}, ${clock(time, options)}`;

/** How long, in the largest unit of which there is one. */
export const span = (seconds) => {
  const [size, name] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([each]) => seconds >= each) || [1, "s"];
  return `${Math.floor(Math.max(seconds, 0) / size)} ${name}`;
};

/** Labels of a series as a name; of none, what is given. */
export const named = (labels, otherwise) => Object.values(labels).map((each) => each.replaceAll("_", " ")).join(", ") || otherwise;
