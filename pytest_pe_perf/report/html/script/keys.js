// What the keyboard does.
import { find } from "./dom.js";

const typing = (element) => element.matches("input, select, textarea");

/** `view` has what the keys do: search, clear, failing, move, theme, help. */
export const listen = (view) => {
  const does = {
    "/": () => view.search(),
    f: () => view.failing(),
    j: () => view.move(1),
    k: () => view.move(-1),
    t: () => view.theme(),
    "?": () => view.help(),
    Escape: () => view.escape(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || find("keys").open) return;
    const inside = typing(event.target);
    if (inside && event.key === "Escape") event.target.blur();
    else if (inside) return;
    const act = does[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
};
