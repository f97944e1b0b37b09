// False alarms of an asset: what the user allows, what the calibration lets expect, and what came.

import { get, part } from "./api.js";
import { byId, h, setText } from "./dom.js";
import { count, number } from "./words.js";

const EVERY_MS = 15000;

export class AlarmRecord {
  #id = null;
  #read = 0;
  #facts = h("dl", { class: "facts" });
  #scores = h("p", { class: "record-scores", id: "record-scores" });
  #progress = h("progress", { class: "record-progress", "aria-labelledby": "record-scores", hidden: true });

  constructor() {
    byId("record").append(this.#facts, this.#scores, this.#progress);
  }

  /** Look at an asset. */
  show(id) {
    this.#id = id;
    this.refresh();
  }

  /** Read anew if the last reading is old. */
  tick() {
    if (Date.now() - this.#read >= EVERY_MS) this.refresh();
  }

  async refresh() {
    const id = this.#id;
    if (id === null) return;
    this.#read = Date.now();
    try {
      const record = await get(`/assets/${part(id)}/alarm-record`);
      if (id === this.#id) this.#show(record);
    } catch {
      byId("record").hidden = true; // what else doesn't answer says so already
    }
  }

  #show(record) {
    byId("record").hidden = false;
    const budget = record.budget_per_month;
    this.#facts.replaceChildren(
      ...fact("Budget", budget > 0 ? `${number(budget)} a month` : "none: scores raise no alarm"),
      ...fact("Called false", cameOf(record)),
      ...fact("Expected", budget > 0 ? `${number(record.expected_per_month)} a month, by calibration` : "–"),
    );
    setText(this.#scores, budget > 0 ? learningOf(record) : "");
    this.#progress.hidden = !record.learning || record.windows === null;
    if (this.#progress.hidden) return;
    this.#progress.max = record.windows_needed;
    this.#progress.value = record.windows;
  }
}

function fact(name, text) {
  return [h("dt", {}, name), h("dd", {}, text)];
}

function cameOf(record) {
  const days = record.observed_days;
  const span = spanOf(days);
  const rate = record.false_per_month === null ? "" : ` (${number(record.false_per_month)} a month)`;
  const after = record.followed_by_maintenance > 0 ? `, ${record.followed_by_maintenance} before maintenance` : "";
  return `${record.called_false} of ${count(record.alarms, "alarm")} in ${span}${rate}${after}`;
}

function spanOf(days) {
  if (days * 24 < 1) return count(Math.max(1, Math.round(days * 1440)), "minute");
  return days < 1 ? count(Math.round(days * 24), "hour") : `${number(days)} days`;
}

function learningOf(record) {
  if (!record.learning) return "Scores raise an alarm beyond their calibrated limits.";
  if (record.windows === null) return "Learning what is normal: scores raise no alarm yet.";
  return `Learning: ${number(record.windows, 9)} of ${number(record.windows_needed, 9)} windows. Scores raise no alarm yet.`;
}
