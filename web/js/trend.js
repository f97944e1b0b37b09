// The course of a channel: vibration velocity, the bearing's lines, the models' scores. It reads what is new when the
// stream says that there is something, and every half minute where the stream is silent.

import { get, part } from "./api.js";
import { h } from "./dom.js";
import { Chart, figure } from "./plot/chart.js";
import { nearest } from "./plot/scale.js";
import { clock, fixed, milliseconds, number, words } from "./words.js";

const PAGE = 5000;
const MOST_PAGES = 4;
const SPACING_MS = 2000;
const FALLBACK_MS = 30000;
const LONGEST_GAP_MS = 5000;
const NAMES = { velocity_rms_mm_s: "Velocity rms", bpfo_db: "BPFO", bpfi_db: "BPFI", bsf_db: "BSF" };
const LINES = ["bpfo_db", "bpfi_db", "bsf_db"];
const LOOKS = ["one", "two", "three", "four"];

/** Values by time, in order, with what was told before replaced by what is told later. */
class Series {
  #values = new Map();

  put(ms, value) {
    this.#values.set(ms, value);
  }

  forget(before) {
    for (const ms of this.#values.keys()) if (ms < before) this.#values.delete(ms);
  }

  ordered() {
    const x = [...this.#values.keys()].sort((one, other) => one - other);
    return { x, y: x.map((ms) => this.#values.get(ms) ?? NaN) };
  }
}

export class Trend {
  #channel = null;
  #rangeMs = 600000;
  #series = new Map();
  #why = h("ul", { class: "evidence", id: "score-reasons", "aria-label": "Why the scores are high", hidden: true });
  #reasons = { ms: 0, byModel: new Map() };
  #newest = null;
  #due = 0;
  #busy = false;
  #stop = new AbortController();
  #limitDb = 10;
  #zones = [];
  #range;
  #plots;

  constructor() {
    this.#plots = [
      new Plot("Vibration velocity", "mm/s rms", { decimals: 2 }),
      new Plot("Bearing lines over the floor", "dB", { decimals: 1 }),
      new Plot("Model scores", "× threshold", { y: "logarithmic", decimals: 1 }),
    ];
    this.#range = h("select", { "aria-label": "Time shown", on: { change: () => this.#restart() } },
      h("option", { value: 120000 }, "2 minutes"),
      h("option", { value: 600000, selected: true }, "10 minutes"),
      h("option", { value: 3600000 }, "1 hour"));
    this.element = h("section", { class: "block", "aria-labelledby": "trend-title" },
      h("div", { class: "block-head" }, h("h2", { id: "trend-title", class: "section-title" }, "Trend"), this.#range),
      h("div", { class: "panel trend-plots" }, ...this.#plots.map((plot) => plot.element), this.#why));
    setInterval(() => this.#refresh(), FALLBACK_MS);
  }

  /**
   * Show another channel; `limitDb` is how high a bearing's lines must stand for a fault, `zones` the boundaries of
   * velocity between A and B, B and C, C and D, where they are known.
   */
  show(channelId, limitDb, zones) {
    this.#channel = channelId;
    this.#limitDb = limitDb;
    this.#zones = zones ?? [];
    this.#restart();
  }

  /** Something new was computed: read it soon, and not too often. */
  moved() {
    const wait = Math.max(0, this.#due - performance.now());
    if (this.#busy) return;
    this.#busy = true;
    setTimeout(() => this.#refresh().finally(() => { this.#busy = false; }), wait);
  }

  #restart() {
    this.#rangeMs = Number(this.#range.value);
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#series.clear();
    this.#newest = null;
    this.#reasons = { ms: 0, byModel: new Map() };
    this.#draw();
    this.#refresh();
  }

  async #refresh() {
    if (this.#channel === null || document.hidden) return;
    this.#due = performance.now() + SPACING_MS;
    const { signal } = this.#stop;
    const from = this.#newest ?? Date.now() - this.#rangeMs;
    try {
      await Promise.all([this.#readFeatures(from, signal), this.#readScores(from, signal)]);
    } catch {
      return; // the next look, at the latest after the fallback's time, asks for the same again
    }
    if (!signal.aborted) this.#draw();
  }

  async #readFeatures(from, signal) {
    const names = Object.keys(NAMES).join(",");
    await this.#pages("features", { names }, "windows", from, signal, (window, ms) => {
      for (const name of Object.keys(NAMES)) this.#at(name).put(ms, window.values[name]);
      this.#newest = Math.max(this.#newest ?? 0, ms);
    });
  }

  async #readScores(from, signal) {
    await this.#pages("scores", {}, "scores", from, signal, (score, ms) => {
      const times = score.threshold > 0 && score.value !== null ? score.value / score.threshold : NaN;
      this.#at(`score ${score.model}`).put(ms, times);
      if (ms > this.#reasons.ms) this.#reasons = { ms, byModel: new Map() };
      if (ms === this.#reasons.ms && times > 1) this.#reasons.byModel.set(score.model, score.explanation.map((fact) => fact.text));
    });
  }

  async #pages(what, parameters, field, from, signal, take) {
    let to = null;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const range = { ...parameters, from: new Date(from).toISOString(), to, limit: PAGE };
      const rows = (await get(`/channels/${part(this.#channel)}/${what}`, range, signal))[field];
      signal.throwIfAborted();
      for (const row of rows) take(row, milliseconds(row.window_start));
      if (rows.length < PAGE) return;
      to = rows[0].window_start;
    }
  }

  #at(name) {
    if (!this.#series.has(name)) this.#series.set(name, new Series());
    return this.#series.get(name);
  }

  #draw() {
    const until = this.#newest ?? Date.now();
    for (const series of this.#series.values()) series.forget(until - this.#rangeMs);
    const course = (name, label) => ({ name: label, ...this.#at(name).ordered() });
    const scores = [...this.#series.keys()].filter((name) => name.startsWith("score "));
    const velocity = [course("velocity_rms_mm_s", NAMES.velocity_rms_mm_s)];
    const lines = LINES.map((name) => course(name, NAMES[name]));
    const judged = scores.sort().map((name) => course(name, words(name.slice(6).replaceAll("-", " "))));
    const x = span(velocity[0].x, until, this.#rangeMs);
    const top = highest(velocity, 1);
    const zones = this.#zones.map((y, i) => ({ y, text: `zone ${"BCD"[i]}` })).filter((zone) => zone.y <= top);
    this.#plots[0].show(velocity, x, [0, top], zones);
    this.#plots[1].show(lines, x, [0, highest(lines, 20)], [{ y: this.#limitDb, text: "fault" }]);
    this.#plots[2].show(judged, x, [0.1, highest(judged, 10)], [{ y: 1, text: "threshold" }]);
    this.#explain();
  }

  /** Say which features the newest scores over their threshold come from, in the analyst's words. */
  #explain() {
    const models = [...this.#reasons.byModel].filter(([, facts]) => facts.length > 0).sort();
    this.#why.replaceChildren(...models.map(([model, facts]) => h("li", {}, `${words(model.replaceAll("-", " "))}: ${facts.join(", ")}`)));
    this.#why.hidden = models.length === 0;
  }
}

/** One chart with its legend, which reads the cursor, or the newest value without it. */
class Plot {
  #chart;
  #legend = h("p", { class: "legend" });
  #values = [];
  #unit;
  #decimals;

  constructor(title, unit, { y = "linear", decimals }) {
    this.#unit = unit;
    this.#decimals = decimals;
    this.#chart = new Chart({ label: title, height: 140, x: "time", y, onCursor: (at) => this.#read(at) });
    this.element = figure(title, this.#chart, { controls: [this.#legend] });
  }

  show(courses, x, y, limits) {
    this.#values = courses;
    const series = courses.map((course, i) => ({ ...course, look: LOOKS[i % LOOKS.length], gap: LONGEST_GAP_MS }));
    this.#chart.draw({ x, y, series, limits });
    this.#read(null);
  }

  #read(at) {
    const parts = this.#values.map((course, i) => {
      const index = at === null ? course.x.length - 1 : nearest(course.x, at);
      const value = course.y[index];
      const said = Number.isFinite(value) ? `${this.#say(value)} ${this.#unit}` : course.x.length ? "learning" : "no data";
      return h("span", { class: `legend-item ${LOOKS[i % LOOKS.length]}` }, `${course.name} `, h("b", {}, said));
    });
    const when = at === null ? [] : [h("span", { class: "legend-time" }, clock(at))];
    this.#legend.replaceChildren(...parts, ...when);
  }

  #say(value) {
    return value >= 100 ? number(value) : fixed(value, this.#decimals);
  }
}

function span(times, until, rangeMs) {
  const from = times.length ? Math.max(times[0], until - rangeMs) : until - rangeMs;
  return [Math.min(from, until - 30000), until];
}

function highest(courses, least) {
  let top = least;
  for (const course of courses) for (const value of course.y) if (value > top) top = value;
  return top * 1.12;
}
