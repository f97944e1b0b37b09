// Alarms as cards: what is wrong and why, what speaks for it, what became of it, and the operator's acknowledgement.
// A card is made once and then brought up to date, so a note that is being written stays.

import { get, newKey, part, post } from "./api.js";
import { arrange, byId, h, setText } from "./dom.js";
import { STANDING, UNSEEN, byUrgency } from "./store.js";
import { ago, clock, count, faultName, milliseconds, number, stateName, unitName, words } from "./words.js";

const PATIENCE_MS = 15000;
const MOST_PAST = 20;
const NOTE_LENGTH = 2000;

export class Alarms {
  #cards = new Map();

  /** Show these alarms; cards of others are forgotten. */
  show(alarms) {
    const ids = new Set(alarms.map((alarm) => alarm.alarm_id));
    for (const id of this.#cards.keys()) if (!ids.has(id)) this.#cards.delete(id);
    const standing = alarms.filter(STANDING).sort(byUrgency);
    const past = alarms.filter((alarm) => !STANDING(alarm));
    past.sort((one, other) => other.changed_at.localeCompare(one.changed_at));
    arrange(byId("alarm-list"), standing.map((alarm) => this.#card(alarm)));
    arrange(byId("past-list"), past.slice(0, MOST_PAST).map((alarm) => this.#card(alarm)));
    byId("alarms-empty").hidden = standing.length > 0;
    byId("past").hidden = past.length === 0;
  }

  /** Say anew how long ago things were. */
  tick() {
    for (const card of this.#cards.values()) card.tick();
  }

  #card(alarm) {
    if (!this.#cards.has(alarm.alarm_id)) this.#cards.set(alarm.alarm_id, new Card());
    const card = this.#cards.get(alarm.alarm_id);
    card.update(alarm);
    return card.element;
  }
}

class Card {
  #alarm = null;
  #waiting = 0;
  #state = h("span", { class: "state" });
  #priority = h("span", { class: "priority" });
  #since = h("span", { class: "since" });
  #reason = h("h3", { class: "reason" });
  #facts = h("ul", { class: "evidence" });
  #seen = h("p", { class: "seen", hidden: true });
  #note = h("input", { type: "text", maxlength: NOTE_LENGTH - "False alarm: ".length, placeholder: "Note (optional)", "aria-label": "Note", autocomplete: "off" });
  #false = h("input", { type: "checkbox", class: "false-box" });
  #button = h("button", { type: "submit", class: "primary" });
  #told = h("p", { class: "told", role: "status" });
  #history = h("ol", { class: "history" });
  #past;
  #form;

  constructor() {
    this.#form = h("form", { class: "answer", on: { submit: (event) => this.#order(event) } }, this.#note, this.#button,
      h("label", { class: "false-alarm" }, this.#false, "It is a false alarm"));
    this.#past = h("details", { on: { toggle: () => this.#readHistory() } }, h("summary", {}, "History"), this.#history);
    this.element = h("li", { class: "alarm" },
      h("div", { class: "alarm-head" }, this.#state, this.#priority, this.#since),
      this.#reason, this.#facts, this.#seen, this.#form, this.#told, this.#past);
  }

  update(alarm) {
    if (this.#alarm?.sequence === alarm.sequence) return;
    const known = this.#alarm;
    this.#alarm = alarm;
    Object.assign(this.element.dataset, { alarm: alarm.alarm_id, state: alarm.state, priority: alarm.priority });
    this.element.dataset.unseen = UNSEEN(alarm);
    setText(this.#state, stateName(alarm.state));
    setText(this.#priority, `${words(alarm.priority)} priority`);
    setText(this.#reason, alarm.reason);
    this.#facts.replaceChildren(...factsOf(alarm).map((text) => h("li", {}, text)));
    this.#showSeen(alarm);
    this.#offer(alarm);
    if (known !== null) {
      clearTimeout(this.#waiting);
      setText(this.#told, "");
      this.#readHistory();
    }
    this.tick();
  }

  tick() {
    const since = milliseconds(this.#alarm.started_at);
    setText(this.#since, ago(since));
    this.#since.title = `since ${clock(since)}`;
  }

  #showSeen(alarm) {
    const by = alarm.acknowledged_by;
    this.#seen.hidden = UNSEEN(alarm) || !by;
    const note = alarm.note ? `: “${alarm.note}”` : "";
    setText(this.#seen, this.#seen.hidden ? "" : `Acknowledged by ${by}${note}`);
  }

  #offer(alarm) {
    const action = UNSEEN(alarm) ? "acknowledge" : alarm.state === "latched_acknowledged" ? "reset" : null;
    this.#form.hidden = action === null;
    this.#form.dataset.action = action ?? "";
    this.#button.disabled = false;
    setText(this.#button, action === "reset" ? "Reset" : "Acknowledge");
  }

  async #order(event) {
    event.preventDefault();
    const { action } = this.#form.dataset;
    const note = noteOf(this.#note.value.trim(), action === "acknowledge" && this.#false.checked);
    this.#button.disabled = true;
    setText(this.#told, "Sending …");
    try {
      await post(`/alarms/${part(this.#alarm.alarm_id)}/${action}`, note ? { note } : {}, { key: newKey() });
    } catch (error) {
      this.#button.disabled = false;
      setText(this.#told, error.status === 403 ? "Your role doesn't allow this." : error.message);
      return;
    }
    this.#note.value = "";
    this.#false.checked = false;
    if (this.#form.dataset.action !== action) return; // its effect was here before the answer
    setText(this.#told, "Sent; waiting for the alarm's new state …");
    this.#waiting = setTimeout(() => {
      this.#button.disabled = false;
      setText(this.#told, "The alarm hasn't changed yet. Try again, or look at its history.");
    }, PATIENCE_MS);
  }

  async #readHistory() {
    if (!this.#past.open) return;
    try {
      const { transitions } = await get(`/alarms/${part(this.#alarm.alarm_id)}/history`);
      this.#history.replaceChildren(...transitions.map(stepOf));
    } catch (error) {
      this.#history.replaceChildren(h("li", {}, error.message));
    }
  }
}

/** The note of an acknowledgement; one that begins with "False alarm" counts against the budget. */
function noteOf(text, isFalse) {
  if (!isFalse || /^false alarm/i.test(text)) return text;
  return text ? `False alarm: ${text}` : "False alarm";
}

function factsOf(alarm) {
  const facts = alarm.evidence.map((fact) => {
    const limit = fact.limit === null ? "" : ` (limit ${number(fact.limit)} ${unitName(fact.unit)})`;
    return `${fact.text}${limit}`;
  });
  const about = [alarm.fault && alarm.confidence !== null ? `${faultName(alarm.fault)}, confidence ${Math.round(100 * alarm.confidence)} %` : null];
  return [...about.filter(Boolean), ...facts];
}

function stepOf(step) {
  const who = step.actor ? ` by ${step.actor}` : "";
  const note = step.note ? `: “${step.note}”` : "";
  return h("li", {},
    h("span", { class: "history-time" }, clock(milliseconds(step.at))),
    h("span", {}, `${words(step.cause)}${who}${note} `, h("small", {}, `${stateName(step.state)}, ${step.priority}`)));
}

/** What stands, in a few words. */
export function summaryOf(standing) {
  if (standing.length === 0) return "No alarm stands";
  const unseen = standing.filter(UNSEEN).length;
  return count(standing.length, "alarm") + (unseen > 0 ? `, ${unseen} unacknowledged` : ", all acknowledged");
}
