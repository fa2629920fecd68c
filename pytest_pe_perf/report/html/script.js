// Filter, sort, copy, theme. The page is whole without any of it.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // Storage throws where a browser forbids it to files; the choice then lasts as long as the page.
  const KEY = "pe-perf-theme";
  const remembered = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem(KEY, theme); } catch { /* see above */ } };
  const wanted = remembered();
  if (wanted === "dark" || wanted === "light") root.dataset.theme = wanted;

  const toggleTheme = () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    remember(next);
  };

  const openTarget = () => {
    const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
  };

  const copy = async (button) => {
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

  const filterable = (search, rows) => {
    const chips = [...document.querySelectorAll(".chip")];
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const verdicts = new Set(chips.filter((c) => c.getAttribute("aria-pressed") === "true").map((c) => c.dataset.verdict));
      let shown = 0;
      for (const row of rows) {
        const fits = (!verdicts.size || verdicts.has(row.dataset.verdict)) && words.every((w) => texts.get(row).includes(w));
        row.hidden = !fits;
        shown += fits;
      }
      document.getElementById("shown").textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
      document.getElementById("none").hidden = shown > 0;
    };
    for (const chip of chips) {
      chip.disabled = false;
      chip.addEventListener("click", () => {
        chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
        apply();
      });
    }
    search.addEventListener("input", apply);
    return () => {
      search.value = "";
      for (const chip of chips) chip.setAttribute("aria-pressed", "false");
      apply();
    };
  };

  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    const valueOf = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const sort = (head, column) => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sign = down ? -1 : 1;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [valueOf(a, column), valueOf(b, column)];
        // A cell without a value stays at the end in both directions.
        if (x === "" || y === "") return (x === "") - (y === "");
        return sign * (head.dataset.sort === "number" ? x - y : x.localeCompare(y, undefined, { numeric: true }));
      });
      body.append(...rows);
    };
    heads.forEach((head, column) => {
      if (!head.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(head, column));
      head.append(button);
    });
  };

  const start = () => {
    const search = document.getElementById("search");
    const table = document.getElementById("rows");
    let clear = () => {};
    if (table) {
      clear = filterable(search, [...table.tBodies[0].rows]);
      sortable(table);
    }
    document.getElementById("theme").addEventListener("click", toggleTheme);
    document.addEventListener("click", (event) => {
      const button = event.target.closest(".copy");
      if (button) copy(button);
    });
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target.matches("input, textarea");
      if (event.key === "Escape") { clear(); if (typing) event.target.blur(); }
      else if (typing) return;
      else if (event.key === "/" && search) { event.preventDefault(); search.focus(); search.select(); }
      else if (event.key === "t") toggleTheme();
    });
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = [...document.querySelectorAll("details:not([open])")];
      for (const one of closed) one.open = true;
    });
    addEventListener("afterprint", () => { for (const one of closed) one.open = false; });
    addEventListener("hashchange", openTarget);
    openTarget();
  };
  document.addEventListener("DOMContentLoaded", start);
})();
