// The theme that was chosen, before anything is painted. Storage throws where a browser forbids it: then the system's.
"use strict";
try {
  const chosen = localStorage.getItem("engine-opt-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* see above */ }
