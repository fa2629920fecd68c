// Quantities and changes as the rest of the report writes them: see units.py, which a test holds this to.

const STEPS = {
  s: [[60, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]],
  B: [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]],
};

const scaled = (value, steps) => {
  const [scale, unit] = steps.find(([each]) => Math.abs(value) >= each * 0.9995) ?? steps.at(-1);
  const number = value / scale;
  const size = Math.abs(number);
  return `${number.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2)} ${unit}`;
};

/** A value of base unit "s", "B" or "1". */
export const quantity = (value, unit) => {
  if (unit === "s") return scaled(value, STEPS.s);
  if (unit === "B") return Math.abs(value) < 999.5 ? `${Number(value.toPrecision(3))} B` : scaled(value, STEPS.B);
  const digits = Number.isInteger(value) ? 0 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
};

/** A ratio as a signed change, and as a multiple from a doubling on. */
export const change = (ratio) => {
  if (ratio >= 999999.5) return `${ratio.toExponential(2)}x`;
  if (ratio >= 2) return `${ratio < 999.5 ? Number(ratio.toPrecision(3)) : ratio.toFixed(0)}x`;
  const percent = (100 * (ratio - 1)).toFixed(1);
  return `${percent === "-0.0" ? "+0.0" : percent.startsWith("-") ? percent : `+${percent}`} %`;
};

export const day = (started) => started.slice(0, 10);

export const when = (started) => started.slice(0, 16).replace("T", " ");

export const counted = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
