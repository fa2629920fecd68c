// What the page carries: deflated, in base64; see pack.py for what the numbers are.
import { find } from "./dom.js";

const PER_OCTAVE = 514, LOWEST = 34;
const WIDTHS = 4, NARROWEST = 1e-4;

const inflated = async (id) => {
  const text = find(id).textContent;
  const raw = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  const stream = new DecompressionStream("deflate");
  const writer = stream.writable.getWriter();
  writer.write(raw);
  writer.close();
  return new Uint8Array(await new Response(stream.readable).arrayBuffer());
};

export const readText = async (id) => new TextDecoder().decode(await inflated(id));

export const readJson = async (id) => JSON.parse(await readText(id));

/** Each value as often as it is repeated. */
const repeated = (pairs) => {
  const values = [];
  for (let at = 0; at < pairs.length; at += 2) for (let left = pairs[at + 1]; left > 0; left--) values.push(pairs[at]);
  return values;
};

/** The numbers of the stretches that begin at, and are as long as. */
const stretched = (pairs) => {
  const places = [];
  for (let at = 0; at < pairs.length; at += 2) for (let step = 0; step < pairs[at + 1]; step++) places.push(pairs[at] + step);
  return places;
};

/** The values of a row that begins at `start` of a chunk's numbers, and how wide their intervals are, 0 for none. */
const unpacked = (numbers, start, count) => {
  const all = numbers.length / 3;
  const values = new Array(count), widths = new Array(count);
  let steps = 0;
  for (let at = 0; at < count; at++) {
    const move = numbers[start + at] | (numbers[all + start + at] << 8);
    steps += (move >> 1) ^ -(move & 1);
    values[at] = 2 ** (steps / PER_OCTAVE - LOWEST);
    const width = numbers[2 * all + start + at];
    widths[at] = width ? 1 + NARROWEST * 2 ** ((width - 1) / WIDTHS) : 0;
  }
  return [values, widths];
};

const chunks = new Map();

const opened = async (number) => {
  const [tests, numbers] = await Promise.all([readJson(`d-tests-${number}`), inflated(`d-numbers-${number}`)]);
  let start = 0;
  for (const row of tests.flatMap((test) => test.rows)) {
    const { course } = row;
    const begin = start;
    start += course.packed ?? 0;
    row.points = () => {
      const [values, widths] = course.packed ? unpacked(numbers, begin, course.packed) : [repeated(course.values), []];
      const accepted = course.accepted ? repeated(course.accepted) : [];
      return { places: stretched(course.at), values, widths, accepted, verdicts: repeated(course.verdicts) };
    };
  }
  return tests;
};

/** A test, by its number. */
export const readTest = async (place, size) => {
  const number = Math.floor(place / size);
  if (!chunks.has(number)) chunks.set(number, opened(number));
  return (await chunks.get(number))[place % size];
};
