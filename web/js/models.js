// The scoring models of an asset: where each stands, and who took it there, when and why.

import { get } from "./api.js";
import { byId, h } from "./dom.js";
import { clock, count, milliseconds, words } from "./words.js";

const EVERY_MS = 60000;
const BASELINE = { name: "baseline", version: "1", shadow: false };

export class Models {
  #id = null;
  #configured = [];
  #read = 0;
  #list = h("ul", { class: "models" });
  #others = h("ul", { class: "models" });
  #more = h("details", { class: "past", hidden: true }, h("summary", {}, "Other versions"), this.#others);

  constructor() {
    byId("models").append(this.#list, this.#more);
  }

  /** Look at an asset; `configured` are the models of its description. */
  show(id, configured) {
    this.#id = id;
    this.#configured = [BASELINE, ...configured.filter((model) => model.name !== BASELINE.name)];
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
      const { models } = await get("/models");
      if (id === this.#id) this.#show(models);
    } catch {
      byId("models").hidden = true; // what else doesn't answer says so already
    }
  }

  #show(known) {
    byId("models").hidden = false;
    const byKey = new Map(known.map((model) => [keyOf(model), model]));
    const here = new Map(this.#configured.map((model) => [keyOf(model), model]));
    for (const model of known) {
      if (model.scores_for.includes(this.#id)) here.set(keyOf(model), { ...model, shadow: false });
      else if (model.in_shadow_for.includes(this.#id)) here.set(keyOf(model), { ...model, shadow: true });
    }
    this.#list.replaceChildren(...[...here].map(([key, model]) => entry(model, byKey.get(key), this.#placeOf(model))));
    const others = known.filter((model) => !here.has(keyOf(model)));
    this.#more.hidden = others.length === 0;
    this.#others.replaceChildren(...others.map((model) => entry(model, model, scoresFor(model))));
  }

  #placeOf(model) {
    if (model.refused_on?.includes(this.#id)) return "refused here: it gave no finite score, or was trained for other features";
    return model.shadow ? "in shadow here" : "scores here";
  }
}

const keyOf = (model) => `${model.name}@${model.version}`;

function scoresFor(model) {
  const parts = [[model.scores_for, "scores for"], [model.in_shadow_for, "in shadow for"]];
  return parts.filter(([ids]) => ids.length > 0).map(([ids, how]) => `${how} ${count(ids.length, "asset")}`).join(", ") || "scores nowhere";
}

/** One version: its stage and its newest step, where it has gone through any. */
function entry(model, version, where) {
  const stage = version ? words(version.stage) : "As delivered";
  return h("li", { class: "model", "data-model": keyOf(model) },
    h("p", { class: "model-line" }, h("span", { class: "model-name" }, `${model.name} ${model.version}`), h("span", { class: "state" }, stage)),
    h("p", { class: "model-about" }, where),
    version?.at ? h("p", { class: "model-about" }, `${words(version.action)} by ${version.actor}, ${clock(milliseconds(version.at))}: “${version.reason}”`) : null,
    version && !version.current ? h("p", { class: "model-about wrong" }, "Trained for other feature code: train it anew") : null);
}
