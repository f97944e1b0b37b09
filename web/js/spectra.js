// What a kept recording shows: its envelope spectrum and spectrum with the bearing's frequencies, and its waveform.

import { get, part } from "./api.js";
import { h, setText } from "./dom.js";
import { Spectrum } from "./spectrum.js";
import { Chart, figure } from "./plot/chart.js";
import { clock, fixed, milliseconds, number, unitName } from "./words.js";

const POINTS = 1200;
const MOST = 50;
const LONGEST_MS = 399 * 86400000;

export class Spectra {
  #channel = null;
  #listed = [];
  #asked = new AbortController();
  #choice;
  #about = h("p", { class: "about" });
  #envelope = new Spectrum("envelope", "Envelope spectrum", [250, 500, 1000], 500);
  #amplitude = new Spectrum("amplitude", "Spectrum", [500, 1000, 5000, null], 1000);
  #waveform = new Waveform();

  constructor() {
    this.#choice = h("select", { "aria-label": "Recording", on: { change: () => this.#load() } });
    this.element = h("section", { class: "block", "aria-labelledby": "spectra-title" },
      h("div", { class: "block-head" },
        h("h2", { id: "spectra-title", class: "section-title" }, "Recording"), this.#choice),
      this.#about,
      h("div", { class: "panel" }, this.#envelope.element),
      h("div", { class: "panel" }, this.#amplitude.element),
      h("div", { class: "panel" }, this.#waveform.element));
  }

  /** Show another channel's newest recording. */
  async show(channelId) {
    this.#channel = channelId;
    this.#listed = [];
    await this.refresh();
  }

  /** Look for newer recordings; the newest is shown unless an older one was chosen. */
  async refresh() {
    const channel = this.#channel;
    if (channel === null) return;
    const range = { from: new Date(Date.now() - LONGEST_MS).toISOString(), limit: MOST };
    const { waveforms } = await get(`/channels/${part(channel)}/waveforms`, range).catch(() => ({ waveforms: null }));
    if (waveforms === null || channel !== this.#channel) return;
    const following = this.#choice.selectedIndex <= 0;
    const chosen = this.#choice.value;
    const before = this.#listed[0]?.start;
    this.#listed = waveforms;
    this.#choice.replaceChildren(...waveforms.map((kept, i) =>
      h("option", { value: kept.start }, clock(milliseconds(kept.start)) + (i === 0 ? " (newest)" : ""))));
    if (!following && waveforms.some((kept) => kept.start === chosen)) this.#choice.value = chosen;
    else if (waveforms[0]?.start !== before || waveforms.length === 0) await this.#load();
  }

  async #load() {
    this.#asked.abort();
    this.#asked = new AbortController();
    const start = this.#choice.value;
    const kept = this.#listed.find((one) => one.start === start);
    this.#choice.disabled = this.#listed.length === 0;
    if (!kept) {
      setText(this.#about, "Nothing recorded yet. One window a minute is kept, and one whenever a condition changes.");
      for (const plot of [this.#envelope, this.#amplitude, this.#waveform]) plot.clear();
      return;
    }
    const speed = kept.speed_rpm === null ? "speed unknown" : `${number(kept.speed_rpm, 5)} rpm`;
    const rate = `${number(kept.sampling_rate_hz / 1000, 4)} kHz`;
    setText(this.#about, `${fixed(kept.duration_s, 1)} s at ${rate}, ${kept.n_samples.toLocaleString(document.documentElement.lang)} samples, ${speed}`);
    const { signal } = this.#asked;
    await Promise.all([
      this.#envelope.load(this.#channel, start, signal),
      this.#amplitude.load(this.#channel, start, signal),
      this.#waveform.load(this.#channel, start, signal),
    ]);
  }
}

class Waveform {
  #foot = h("p", { class: "legend" });
  #unit = h("span", { class: "figure-unit" });
  #kept = null;

  constructor() {
    this.chart = new Chart({ label: "Waveform", height: 160, onCursor: (at) => this.#read(at) });
    this.element = figure("Waveform", this.chart, { controls: [this.#unit], foot: [this.#foot] });
  }

  clear() {
    this.#kept = null;
    this.chart.draw({ x: [0, 1], y: [-1, 1] });
    setText(this.#foot, "");
  }

  async load(channel, start, signal) {
    try {
      const path = `/channels/${part(channel)}/waveforms/${part(start)}`;
      this.#kept = await get(path, { points: POINTS }, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.clear();
      setText(this.#foot, error.message);
      return;
    }
    const { minimum, maximum, samples_per_point: stretch, sampling_rate_hz: rate, unit, duration_s: end } = this.#kept;
    const top = Math.max(...maximum.map(Math.abs), ...minimum.map(Math.abs)) * 1.08 || 1;
    const x = minimum.map((_, i) => ((i + 0.5) * stretch) / rate);
    setText(this.#unit, `${unitName(unit)}, time in s`);
    this.chart.draw({ x: [0, end], y: [-top, top], area: { x, low: minimum, high: maximum } });
    this.#read(null);
  }

  #read(at) {
    if (this.#kept === null) return;
    const { minimum, maximum, samples_per_point: stretch, sampling_rate_hz: rate, unit } = this.#kept;
    const from = at === null ? 0 : Math.min(minimum.length - 1, Math.floor((at * rate) / stretch));
    const to = at === null ? minimum.length : from + 1;
    const low = Math.min(...minimum.slice(from, to));
    const high = Math.max(...maximum.slice(from, to));
    const where = at === null ? "" : ` at ${fixed(at, 3)} s`;
    setText(this.#foot, `From ${fixed(low, 2)} to ${fixed(high, 2)} ${unitName(unit)}${where}`);
  }
}
