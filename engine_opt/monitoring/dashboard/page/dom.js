// Making and changing elements. Texts are set as texts, never as markup: a label may hold anything.

export const find = (id) => document.getElementById(id);

/** An element with properties and children; `class`, `data-*`, `aria-*`, `role`, `scope` are attributes. */
export const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

/** Change a text, if it is another one: what is read aloud is not read twice. */
export const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };
