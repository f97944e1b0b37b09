// The list of assets: zone by letter, shape and colour, what is wrong, and how much of it nobody has seen.

import { arrange, byId, h, setText } from "./dom.js";
import { UNSEEN } from "./store.js";
import { ago, count, faultName, fixed, milliseconds, number, zoneMeaning } from "./words.js";

const STALE_MS = 15000;

/** A severity zone: a letter in a shape of its own, so it reads without colour. */
export function zoneBadge(zone, large = false) {
  return h("span", {
    class: `zone${large ? " zone-large" : ""}`,
    "data-zone": zone ?? "none",
    role: "img",
    "aria-label": zoneMeaning(zone),
    title: zoneMeaning(zone),
  }, zone ?? "–");
}

/** Whether the asset turns, stands, or says nothing. */
export function activity(asset, now = Date.now()) {
  if (!asset.window_end) return "No data yet";
  const newest = milliseconds(asset.window_end);
  if (now - newest > STALE_MS) return `No data since ${ago(newest, now)}`;
  if (asset.speed_rpm === null) return "Measuring";
  return asset.speed_rpm > 0 ? `Running at ${number(asset.speed_rpm, 4)} rpm` : "Stopped";
}

/** What is wrong with an asset: the newest diagnosis, else that of its newest alarm. */
export function complaint(asset, standing) {
  const told = asset.fault ?? standing.find((alarm) => alarm.fault)?.fault;
  if (told) return faultName(told);
  return standing.length ? standing[0].reason : "No fault found";
}

export class Fleet {
  #cards = new Map();
  #store;

  constructor(store) {
    this.#store = store;
  }

  /** Show every asset; `chosen` is the one beside. */
  show(chosen) {
    const assets = this.#store.assets();
    byId("fleet-empty").hidden = assets.length > 0;
    arrange(byId("assets"), assets.map((asset) => this.#card(asset, asset.asset_id === chosen)));
  }

  #card(asset, chosen) {
    const id = asset.asset_id;
    if (!this.#cards.has(id)) this.#cards.set(id, makeCard(id));
    const { item, link, badge, name, about, health, alarms } = this.#cards.get(id);
    const standing = this.#store.alarmsOf(id).filter((alarm) => alarm.state !== "normal");
    const unseen = standing.filter(UNSEEN).length;
    if (chosen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    if (badge.firstChild?.dataset.zone !== (asset.zone ?? "none")) badge.replaceChildren(zoneBadge(asset.zone));
    setText(name, asset.name);
    setText(about.fault, complaint(asset, standing));
    about.fault.classList.toggle("wrong", Boolean(asset.fault) || standing.length > 0);
    setText(about.activity, activity(asset));
    health.hidden = asset.health_index === null || asset.health_index === undefined;
    setText(health, `Health ${fixed(asset.health_index, 2)}`);
    health.title = asset.health_reason ?? "";
    alarms.hidden = standing.length === 0;
    alarms.dataset.unseen = unseen > 0;
    setText(alarms, unseen > 0 ? count(unseen, "new alarm") : count(standing.length, "alarm"));
    return item;
  }
}

function makeCard(id) {
  const badge = h("span", { class: "asset-badge" });
  const name = h("span", { class: "asset-name" });
  const about = { fault: h("span", { class: "asset-fault" }), activity: h("span", { class: "asset-activity" }) };
  const health = h("span", { class: "asset-health", hidden: true });
  const alarms = h("span", { class: "asset-alarms" });
  const link = h("a", { class: "asset", href: `#/assets/${encodeURIComponent(id)}` },
    badge,
    h("span", { class: "asset-text" },
      h("span", { class: "asset-line" }, h("span", { class: "asset-id" }, id), alarms),
      name, about.fault, h("span", { class: "asset-line" }, about.activity, health)));
  return { item: h("li", { "data-asset": id }, link), link, badge, name, about, health, alarms };
}
