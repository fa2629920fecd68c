// Before anything is painted: that there is a script, which page is asked for, and the theme that was chosen. Storage
// throws where a browser forbids it to files: then it is the system's.
"use strict";
document.documentElement.classList.add("js");
document.documentElement.dataset.page = location.hash.startsWith("#t=") ? "test" : location.hash === "#method" ? "method" : "overview";
try {
  const chosen = localStorage.getItem("pe-perf-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* see above */ }
