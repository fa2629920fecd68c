// Alerts and silences as tables; acknowledging and silencing.
import { ask, Refused, token } from "./api.js";
import { find, make, say } from "./dom.js";
import { clock, moment, span } from "./format.js";

const SIGNS = { firing: "▲", pending: "◔", resolved: "✓", broken: "✕" };
const LOOKS = { firing: "v-bad", pending: "v-open", resolved: "v-well", broken: "v-open" };
const NAME = "engine-opt-name";

const order = ["firing", "broken", "pending", "resolved"];
const rows = new Map(); // by fingerprint and state's kind: a button that has the focus stays where it is
let known = null; // states by fingerprint, once they were told

const remembered = () => { try { return localStorage.getItem(NAME) ?? ""; } catch { return ""; } };
const remember = (name) => { try { localStorage.setItem(NAME, name); } catch { /* asked again next time */ } };

const newRow = (now) => {
  const row = {
    state: make("span", { class: "verdict" }),
    rule: make("strong"), severity: make("span", { class: "severity" }), summary: make("span", { class: "summary" }),
    since: make("span"), ago: make("span", { class: "muted" }), who: make("span"), quiet: make("span", { class: "muted" }),
    acknowledge: make("button", { type: "button", class: "quiet" }, "Acknowledge"),
    silence: make("button", { type: "button", class: "quiet" }, "Silence"),
  };
  row.acknowledge.addEventListener("click", () => acknowledging(row.alert));
  row.silence.addEventListener("click", () => silencing(row.alert, now));
  row.element = make("tr", {},
    make("td", { class: "state" }, row.state),
    make("td", { class: "what" }, make("span", { class: "rule" }, row.rule, " ", row.severity), row.summary),
    make("td", { class: "since" }, row.since, " ", row.ago),
    make("td", { class: "who" }, row.who, " ", row.quiet),
    make("td", { class: "acts" }, row.acknowledge, " ", row.silence));
  return row;
};

const fill = (row, alert, now) => {
  row.alert = alert;
  row.element.className = LOOKS[alert.state] ?? "v-open";
  say(row.state, `${SIGNS[alert.state] ?? "?"} ${alert.state}`);
  say(row.rule, alert.rule);
  say(row.severity, alert.severity);
  say(row.summary, alert.summary);
  say(row.since, moment(alert.since));
  say(row.ago, `${span(now() - alert.since)} ago`);
  const by = alert.acknowledged;
  say(row.who, by ? `${by.who}, ${clock(by.time)}${by.note ? `: ${by.note}` : ""}` : "");
  say(row.quiet, alert.silenced_until === null ? "" : `silenced until ${moment(alert.silenced_until, { seconds: false })}`);
  row.acknowledge.hidden = alert.state !== "firing" || by !== null;
  row.silence.hidden = alert.state === "resolved" || alert.silenced_until !== null;
  for (const [button, what] of [[row.acknowledge, "Acknowledge"], [row.silence, "Silence"]]) {
    button.setAttribute("aria-label", `${what}: ${alert.rule}`);
  }
};

/** Show alerts and silences, and read aloud what has changed; `now` gives the server's time. */
export const showAlerts = (body, now) => {
  const alerts = [...body.alerts].sort((a, b) => order.indexOf(a.state) - order.indexOf(b.state) || b.since - a.since);
  const keys = alerts.map((alert) => JSON.stringify([alert.fingerprint, alert.state === "broken"]));
  for (const key of rows.keys()) if (!keys.includes(key)) { rows.get(key).element.remove(); rows.delete(key); }
  const place = find("alert-rows");
  alerts.forEach((alert, at) => {
    if (!rows.has(keys[at])) rows.set(keys[at], newRow(now));
    const row = rows.get(keys[at]);
    fill(row, alert, now);
    if (place.children[at] !== row.element) place.insertBefore(row.element, place.children[at] ?? null);
  });
  const count = (state) => alerts.filter((alert) => alert.state === state).length;
  say(find("alerts-counts"), ["firing", "pending", "broken"].filter(count).map((state) => `${count(state)} ${state}`).join(", "));
  find("alerts-table").hidden = !alerts.length;
  find("no-alerts").hidden = alerts.length > 0;
  say(find("no-alerts"), "No alerts.");
  showSilences(body.silences, now);
  announce(alerts);
};

export const noAlerts = (why) => say(find("no-alerts"), why);

/** Let the times go on. */
export const age = (now) => rows.forEach((row) => say(row.ago, `${span(now() - row.alert.since)} ago`));

const showSilences = (silences, now) => {
  find("silences").hidden = !silences.length;
  find("silence-rows").replaceChildren(...silences.map((each) => {
    const matcher = Object.entries(each.matcher).map(([label, value]) => `${label} = ${value}`).join(", ");
    const text = `${matcher}, until ${moment(each.until, { seconds: false })}: ${each.why} (${each.who})`;
    return make("li", {}, make("span", {}, text), " ", make("button", {
      type: "button", class: "quiet", "aria-label": `End the silence of ${matcher}`, onclick: () => ending(each, matcher, now),
    }, "End"));
  }));
};

const announce = (alerts) => {
  const states = new Map(alerts.map((alert) => [alert.fingerprint, alert]));
  if (known) {
    const news = [...states.values()].filter((alert) => alert.state !== "pending" && known.get(alert.fingerprint) !== alert.state);
    if (news.length) say(find("said"), news.map((alert) => `Alert ${alert.rule} is ${alert.state}: ${alert.summary}`).join(". "));
  }
  known = new Map(alerts.map((alert) => [alert.fingerprint, alert.state]));
};

const acknowledging = (alert) => open("Acknowledge", alert.summary, ["who", "note"], async ({ who, note }) =>
  ask(`alerts/${alert.fingerprint}/acknowledge`, { method: "POST", body: { who, note } }));

const silencing = (alert) => open("Silence", `${alert.rule}: ${alert.summary}`, ["seconds", "who", "why"], async ({ who, why, seconds }) => {
  const matcher = { ...alert.labels, rule: alert.rule };
  await ask("silences", { method: "POST", body: { matcher, seconds: Number(seconds), who, why } });
  return ask("alerts");
});

const ending = (silence, matcher) => open("End the silence", matcher, [], async () =>
  ask(`silences/${silence.id}`, { method: "DELETE" }));

let doing = null;

/** Ask in a dialogue for what is needed, and the token where there is none. */
const open = (title, about, fields, act) => {
  doing = act;
  say(find("act-title"), title);
  say(find("act-about"), about);
  say(find("act-wrong"), "");
  say(find("act-do"), title);
  need([...fields, ...(token.get() ? [] : ["token"])]);
  const form = find("act").querySelector("form");
  form.reset();
  form.elements.who.value = remembered();
  find("act").showModal();
};

/** Show these fields; what is hidden is not asked for. */
const need = (fields) => {
  for (const label of find("act").querySelectorAll("label")) {
    const wanted = fields.includes(label.dataset.field);
    label.hidden = !wanted;
    label.querySelector("input, select").disabled = !wanted;
  }
};

/** Make the dialogue work; `changed(body)` hears the alerts after a change. */
export const prepare = (changed) => {
  const dialog = find("act");
  const form = dialog.querySelector("form");
  find("act-cancel").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    if (given.token) token.set(given.token.trim());
    if (given.who) remember(given.who);
    find("act-do").disabled = true;
    try {
      changed(await doing(given));
      dialog.close();
    } catch (error) {
      say(find("act-wrong"), error instanceof Refused ? error.message : "The server does not answer: try again.");
      if (error.status === 401) {
        token.drop();
        const shown = [...form.querySelectorAll("label:not([hidden])")].map((label) => label.dataset.field);
        need([...new Set([...shown, "token"])]);
        form.elements.token.focus();
      }
    } finally {
      find("act-do").disabled = false;
    }
  });
};
