// Asking the server, and hearing what is new.

const TOKEN = "engine-opt-token";
let held = null; // where a browser has no storage for us

/** Parameters behind the # of the address. */
export const fragment = () => new URLSearchParams(location.hash.slice(1));

/** Put these behind the #, in place of what stands there; nothing is loaded, and nothing goes to the server. */
export const setFragment = (parameters) => {
  const text = parameters.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname);
};

export const token = {
  get() { try { return sessionStorage.getItem(TOKEN) ?? held; } catch { return held; } },
  set(value) { held = value; try { sessionStorage.setItem(TOKEN, value); } catch { /* as long as the page */ } },
  drop() { held = null; try { sessionStorage.removeItem(TOKEN); } catch { /* was never there */ } },
  /** Take it from the address, where it should not stay to be looked at. */
  take() {
    const parameters = fragment();
    if (!parameters.has("token")) return;
    this.set(parameters.get("token"));
    parameters.delete("token");
    setFragment(parameters);
  },
};

/** What the server refused, and why. */
export class Refused extends Error {
  constructor(status, error) {
    super([error.what, error.seen, error.todo].filter(Boolean).join(": "));
    this.status = status;
  }
}

/** Ask; raises Refused for an answer that is none, TypeError where there is no answer. */
export const ask = async (path, { method = "GET", body } = {}) => {
  const headers = {};
  if (method !== "GET") headers.Authorization = `Bearer ${token.get() ?? ""}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(`api/v1/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const content = await answer.json().catch(() => null);
  // Health tells by its status that something is down; its body is the answer all the same.
  if (answer.ok || (content && content.checks)) return content;
  throw new Refused(answer.status, content?.error ?? { what: `status ${answer.status}` });
};

const RETRY = 3000;

/** Call `heard[kind](data)` for each event, and `state("open" | "lost")`; for as long as the page lives. */
export const listen = (heard, state) => {
  const source = new EventSource("api/v1/events");
  source.onopen = () => state("open");
  source.onerror = () => {
    state("lost");
    // A browser tries again by itself where the connection broke, and not where the answer was a refusal.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(heard, state), RETRY);
  };
  for (const kind of Object.keys(heard)) {
    source.addEventListener(kind, (event) => heard[kind](JSON.parse(event.data)));
  }
};
