// Making and changing elements. Texts are set as texts, never as markup: an id may hold anything.

export const find = (id) => document.getElementById(id);

const fill = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  // What is not there is left out: a condition can stand for a child.
  element.append(...children.filter((child) => child !== false && child !== null && child !== undefined && child !== ""));
  return element;
};

export const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) => (
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children));

/** Somebody's text, in its own direction. */
export const told = (text) => make("bdi", {}, text);

/** A verdict with its sign and word. */
export const badge = (style, sign, word) => (
  make("span", { class: `verdict ${style}` }, make("span", { class: "sign", "aria-hidden": "true" }, sign), ` ${word}`));

/** A commit, as a link where the page knows where commits are shown. */
export const commitLink = (hash) => {
  const where = document.body.dataset.commits;
  const text = hash.slice(0, 10);
  if (!where || !hash) return make("code", { class: "hash" }, text);
  return make("a", { class: "hash", href: where + encodeURIComponent(hash), rel: "noreferrer" }, text);
};

/** A command in words that are broken between rather than within, with a button that copies it. */
export const commandLine = (label, text, what) => {
  const words = text.split(" ").flatMap((word, at) => [at > 0 && " ", make("span", { class: word.length > 30 && "long" }, word)]);
  return make("div", { class: "command" },
    make("span", { class: "label" }, label),
    make("code", { dir: "ltr" }, ...words),
    make("button", { type: "button", class: "copy", "aria-label": `Copy the command: ${label} ${what}` }, "Copy"));
};

/** Copy what stands beside a button. */
export const copy = async (button) => {
  const code = button.parentElement.querySelector("code");
  let done = true;
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // No clipboard for files in this browser: select the text and ask the old way.
    getSelection().selectAllChildren(code);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Ctrl+C";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
};

const COLOURS = [
  "tone", "same", "muted", "line", "strong-line", "surface", "band", "worse", "worse-text", "better", "better-text", "open", "lane", "lane-odd",
];

/** The colours that a canvas in an element is drawn with, by the names that they have in the style. */
export const coloursOf = (element) => {
  const style = getComputedStyle(element);
  return Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
};

export const colour = (name, element = document.documentElement) => getComputedStyle(element).getPropertyValue(name).trim();
