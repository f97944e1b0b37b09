// How well an asset is: its health index, the feature of the channel that is worst off, how that has come, and how long
// the machine may last, or why that isn't told.

import { get, part } from "./api.js";
import { byId, h, setText } from "./dom.js";
import { Chart } from "./plot/chart.js";
import { featureName, fixed, milliseconds, number, spell, unitName, words } from "./words.js";

const EVERY_MS = 30000;
const LOW = 0.25;
const HIGH = 0.5;

export class Health {
  #id = null;
  #read = 0;
  #places = new Map();
  #value = h("span", { class: "health-value" });
  #meter = h("meter", { class: "health-meter", min: 0, max: 1, low: LOW, high: HIGH, optimum: 1, "aria-labelledby": "health-title" });
  #facts = h("dl", { class: "facts" });
  #chart = new Chart({ label: "Health index over time", height: 90, x: "time", y: "linear", onCursor: (at) => this.#point(at) });
  #legend = h("p", { class: "legend" });
  #trend = [];
  #figure;

  constructor() {
    this.#figure = h("div", { class: "health-trend" }, this.#chart.element, this.#legend);
    byId("health").append(h("p", { class: "health-line" }, this.#value, this.#meter), this.#facts, this.#figure);
  }

  /** Show what was read of an asset; `detail` has its health and its measurement points. */
  show(id, detail) {
    this.#id = id;
    this.#read = Date.now();
    this.#places = new Map(detail.configuration.points.flatMap((point) => point.channels
      .map((channel) => [channel.channel_id, `${words(point.location)}, ${words(point.direction).toLowerCase()}`])));
    this.#show(detail.health);
  }

  /** Read anew if the last reading is old. */
  async tick() {
    const id = this.#id;
    if (id === null || Date.now() - this.#read < EVERY_MS || document.hidden) return;
    this.#read = Date.now();
    try {
      const { health } = await get(`/assets/${part(id)}`);
      if (id === this.#id) this.#show(health);
    } catch {
      // what was read last stands; what else doesn't answer says so
    }
  }

  #show(health) {
    byId("health").hidden = false;
    setText(this.#value, health.index === null ? "–" : fixed(health.index, 2));
    this.#meter.hidden = health.index === null;
    this.#meter.value = health.index ?? 0;
    const { worst } = health;
    this.#facts.replaceChildren(
      ...(worst === null ? fact("Not known", health.reason) : fact("Worst", `${featureName(worst.feature)} at ${this.#places.get(worst.channel_id) ?? worst.channel_id}`)),
      ...(worst === null ? [] : fact("Measured", measured(worst))),
      ...fact("Life left", lifeOf(health)),
    );
    this.#trend = health.trend.map(({ at, index }) => ({ at: milliseconds(at), index }));
    this.#figure.hidden = this.#trend.length < 2;
    if (!this.#figure.hidden) this.#draw();
  }

  #draw() {
    const x = this.#trend.map((point) => point.at);
    const y = this.#trend.map((point) => point.index);
    this.#chart.draw({ x: [x[0], x.at(-1)], y: [0, 1.05], series: [{ name: "Health index", look: "one", x, y }], limits: [] });
    this.#point(null);
  }

  #point(at) {
    const newest = this.#trend.at(-1);
    const found = at === null ? newest : this.#trend.reduce((one, other) => (Math.abs(other.at - at) < Math.abs(one.at - at) ? other : one), newest);
    const begun = this.#trend[0];
    const text = at === null ? `, it was ${fixed(begun.index, 2)} ${spell(newest.at - begun.at)} before` : "";
    this.#legend.replaceChildren(h("span", {}, "Index ", h("b", {}, fixed(found.index, 2)), text));
  }
}

function fact(name, text) {
  return [h("dt", {}, name), h("dd", {}, text)];
}

/** What the worst feature measures, beside what it measured when the machine was well and where its index is 0. */
function measured(worst) {
  const unit = unitName(worst.unit);
  return `${number(worst.value)} ${unit}; index 1 up to ${number(worst.well)}, 0 at ${number(worst.limit)}`;
}

function lifeOf(health) {
  const life = health.remaining_life;
  if (life === null) return `not told: ${health.no_life_because}`;
  return `between ${spell(1000 * life.p10_s)} (p10) and ${spell(1000 * life.p90_s)} (p90), middle ${spell(1000 * life.p50_s)} (p50)`;
}
