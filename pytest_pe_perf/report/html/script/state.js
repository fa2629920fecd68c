// What is seen stands in the address: a link shows another person the same.

const FAILING = "regressed,over budget";

/** What the address asks for; where it names a place of the page, that is for the browser to find. */
export const asked = () => {
  const text = location.hash.slice(1);
  if (text === "method") return new Map([["page", "method"]]);
  if (text === "failing") return new Map([["v", FAILING]]);
  return new Map(text.includes("=") ? new URLSearchParams(text) : []);
};

const written = (parts) => {
  const kept = Object.entries(parts).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  // Commas and slashes stay as they are: people read these.
  return `#${new URLSearchParams(kept).toString().replaceAll("%2C", ",").replaceAll("%2F", "/")}`;
};

/** Say what is seen, without a step for the back button. */
export const note = (parts) => history.replaceState(null, "", written(parts));

export const linkTo = (parts) => written(parts);

/** The verdicts that fail a test. */
export const failing = FAILING.split(",");
