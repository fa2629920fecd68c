// What time all charts show: the last while, which goes on, or a part of the past that was chosen.
import { fragment, setFragment } from "./api.js";
import { clock, day, moment } from "./format.js";
import { POINTS } from "./series.js";

const SHORTEST = 2; // seconds
const LONGEST = 400 * 86400; // what may be asked for

export class View {
  constructor(changed) {
    this.changed = changed;
    this.seconds = 300;
    this.fixed = null;
    this.end = Date.now() / 1000;
    this.ahead = 0; // the server's clock before this one
    this.interval = 1;
  }

  now() { return Date.now() / 1000 + this.ahead; }

  window() { return this.fixed ?? [this.end - this.seconds, this.end]; }

  /** Seconds from one point to the next, before which there is nothing new to draw. */
  step() {
    const [from, to] = this.window();
    return Math.max((to - from) / POINTS, 0.5 * this.interval);
  }

  /** Let the present go on; says whether that is seen. */
  advance() {
    this.end = this.now();
    return this.fixed === null;
  }

  live(seconds = this.seconds) {
    this.seconds = seconds;
    this.fixed = null;
    this.end = this.now();
    this.tell();
  }

  zoom(from, to) {
    const half = Math.min(Math.max(to - from, SHORTEST), LONGEST) / 2;
    const middle = (from + to) / 2;
    this.fixed = [Math.max(middle - half, 0), middle + half];
    this.tell();
  }

  scale(factor) {
    const [from, to] = this.window();
    const half = (factor * (to - from)) / 2;
    this.zoom((from + to) / 2 - half, (from + to) / 2 + half);
  }

  move(share) {
    const [from, to] = this.window();
    const by = Math.min(share * (to - from), this.now() - to); // there is no future to be seen
    if (by) this.zoom(from + by, to + by);
  }

  words() {
    if (this.fixed === null) return "";
    const [from, to] = this.fixed;
    const seconds = to - from < 3600;
    return `${moment(from, { seconds })} to ${day(from) === day(to) ? clock(to, { seconds }) : moment(to, { seconds })}`;
  }

  /** Take what the address asks for. */
  restore() {
    const asked = fragment();
    const [from, to, seconds] = ["from", "to", "last"].map((name) => Number(asked.get(name) ?? NaN));
    if (seconds >= SHORTEST && seconds <= LONGEST) this.seconds = seconds;
    if (from >= 0 && to > from && to - from <= LONGEST) this.fixed = [from, to];
  }

  tell() {
    const asked = new URLSearchParams();
    if (this.seconds !== 300) asked.set("last", this.seconds);
    if (this.fixed) { asked.set("from", this.fixed[0].toFixed(1)); asked.set("to", this.fixed[1].toFixed(1)); }
    setFragment(asked);
    this.changed();
  }
}
