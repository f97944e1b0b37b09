// The asset that is looked at: its head, its alarms, its signals. The channel is that of the newest alarm's point, or
// the first that gives waveforms.

import { get, part } from "./api.js";
import { Alarms } from "./alarms.js";
import { byId, h, setText } from "./dom.js";
import { activity, complaint, zoneBadge } from "./fleet.js";
import { Health } from "./health.js";
import { Models } from "./models.js";
import { AlarmRecord } from "./record.js";
import { Spectra } from "./spectra.js";
import { STANDING, byUrgency } from "./store.js";
import { Trend } from "./trend.js";
import { words, zoneMeaning } from "./words.js";

const DEFAULT_LIMIT_DB = 10;

export class AssetView {
  #store;
  #id = null;
  #detail = null;
  #alarms = new Alarms();
  #health = new Health();
  #models = new Models();
  #record = new AlarmRecord();
  #trend = new Trend();
  #spectra = new Spectra();
  #head;

  constructor(store) {
    this.#store = store;
    this.#head = makeHead(() => this.#showChannel());
    byId("asset-head").append(...this.#head.nodes);
    byId("signals").append(this.#trend.element, this.#spectra.element);
  }

  get id() {
    return this.#id;
  }

  /** Look at an asset. */
  async show(id) {
    if (id === this.#id) return;
    this.#id = id;
    this.#detail = null;
    this.update();
    notice(null);
    try {
      const detail = await get(`/assets/${part(id)}`);
      if (id !== this.#id) return;
      this.#detail = detail;
    } catch (error) {
      if (id === this.#id) notice(error.status === 404 ? `There is no asset ${id}.` : error.message);
      if (id === this.#id && error.status !== 404) this.#id = null;
      return;
    }
    this.#health.show(id, this.#detail);
    this.#models.show(id, this.#detail.configuration.models ?? []);
    this.#record.show(id);
    this.#offerChannels();
    this.#showChannel();
  }

  /** Bring head and alarms in step with the store. */
  update() {
    const asset = this.#store.asset(this.#id);
    const alarms = this.#store.alarmsOf(this.#id);
    this.#alarms.show(alarms);
    if (!asset) return;
    const standing = alarms.filter(STANDING).sort(byUrgency);
    const { badge, title, id, about, meaning } = this.#head;
    if (badge.firstChild?.dataset.zone !== (asset.zone ?? "none")) badge.replaceChildren(zoneBadge(asset.zone, true));
    setText(title, asset.name);
    setText(id, `${asset.asset_id} · ${asset.asset_type}`);
    setText(meaning, zoneMeaning(asset.zone));
    setText(about, `${complaint(asset, standing)} · ${activity(asset)}`);
  }

  /** The asset's newest window was assessed. */
  moved() {
    this.update();
    this.#trend.moved();
  }

  /** An alarm of the asset changed: a waveform was kept with it. */
  alarmed() {
    this.update();
    this.#record.refresh();
    setTimeout(() => this.#spectra.refresh(), 1000);
  }

  tick() {
    this.update();
    this.#alarms.tick();
    this.#health.tick();
    this.#models.tick();
    this.#record.tick();
  }

  /** Look for recordings that were kept without an alarm. */
  refresh() {
    this.#spectra.refresh();
  }

  #offerChannels() {
    const found = this.#detail.configuration.points.flatMap((point) => point.channels
      .filter((channel) => channel.quantity === "acceleration")
      .map((channel) => ({ channel, point })));
    const loud = this.#store.alarmsOf(this.#id).filter(STANDING).sort(byUrgency)[0]?.point_id;
    this.#head.channels.replaceChildren(...found.map(({ channel, point }) => h("option", {
      value: channel.channel_id,
      selected: point.point_id === loud,
    }, `${words(point.location)}, ${words(point.direction).toLowerCase()}${point.bearing ? ` (bearing ${point.bearing})` : ""}`)));
    this.#head.channels.closest("label").hidden = found.length === 0;
  }

  #showChannel() {
    const channel = this.#head.channels.value || null;
    if (channel === null) return;
    const { configuration, velocity_zones_mm_s: zones } = this.#detail;
    this.#trend.show(channel, configuration.rules?.fault_line_db ?? DEFAULT_LIMIT_DB, zones);
    this.#spectra.show(channel);
  }
}

/** Say something that concerns the whole page; null takes it back. */
export function notice(text) {
  byId("notice").hidden = text === null;
  setText(byId("notice"), text ?? "");
}

function makeHead(changed) {
  const badge = h("span", { class: "head-badge" });
  const title = h("h1", { class: "head-title" }, "Choose an asset");
  const id = h("p", { class: "head-id" });
  const about = h("p", { class: "head-about" });
  const meaning = h("p", { class: "head-zone" });
  const channels = h("select", { on: { change: changed } });
  const nodes = [
    h("a", { class: "back", href: "#/" }, "All assets"),
    h("div", { class: "head-line" }, badge, h("div", { class: "head-text" }, id, title, about, meaning)),
    h("label", { class: "head-channel", hidden: true }, h("span", {}, "Measurement point"), channels),
  ];
  return { nodes, badge, title, id, about, meaning, channels };
}
