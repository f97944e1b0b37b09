// One spectrum with the bearing's frequencies at the measured speed. Each family (BPFO, BPFI, …) is a button: pointing
// at it, focusing or tapping it shows its harmonics in the chart and says frequency, order and level.

import { get, part } from "./api.js";
import { arrange, h, setText } from "./dom.js";
import { Chart, figure } from "./plot/chart.js";
import { fixed, number, unitName } from "./words.js";

const HARMONICS = 3;
const SHAFT = "1×";
const ABOUT = {
  BPFO: "outer race",
  BPFI: "inner race",
  BSF: "rolling element, twice its spin",
  FTF: "cage",
  [SHAFT]: "shaft",
};

export class Spectrum {
  #kind;
  #range;
  #unit = h("span", { class: "figure-unit" });
  #families = h("div", { class: "families", role: "group", "aria-label": "Fault frequencies" });
  #reading = h("p", { class: "legend", role: "status" });
  #shown = null;
  #lines = [];
  #chosen = null;
  #again = () => {};

  constructor(kind, title, ends, chosen) {
    this.#kind = kind;
    this.#range = h("select", { "aria-label": `${title}: range`, on: { change: () => this.#again() } },
      ...ends.map((end) => h("option", { value: end ?? "", selected: end === chosen }, rangeName(end))));
    this.chart = new Chart({
      label: title,
      height: kind === "envelope" ? 260 : 200,
      onCursor: (at) => this.#read(at),
      onMarker: (marker) => this.#choose(marker.key),
    });
    this.element = figure(title, this.chart, {
      controls: [this.#unit, this.#range],
      foot: [this.#families, this.#reading],
      look: `figure-${kind}`,
    });
  }

  clear() {
    this.#shown = null;
    this.#families.replaceChildren();
    setText(this.#reading, "");
    this.chart.draw({ x: [0, 100], y: [0, 1] });
  }

  /** Show a recording; a reading that was asked for before is dropped. */
  async load(channel, start, signal) {
    this.#again = () => this.load(channel, start, signal);
    try {
      const what = { start, kind: this.#kind, max_hz: this.#range.value || null };
      this.#shown = await get(`/channels/${part(channel)}/spectrum`, what, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.clear();
      setText(this.#reading, error.message);
      return;
    }
    this.#lines = familiesOf(this.#shown);
    if (!this.#lines.some((line) => line.name === this.#chosen)) this.#chosen = loudest(this.#lines);
    const band = this.#shown.band_hz;
    const about = band ? `, demodulated ${number(band[0] / 1000)}–${number(band[1] / 1000)} kHz` : "";
    setText(this.#unit, `${unitName(this.#shown.unit)}, frequency in Hz${about}`);
    this.#draw();
  }

  #choose(name) {
    if (this.#chosen === name) return;
    this.#chosen = name;
    this.#draw();
  }

  #draw() {
    const { values, bin_hz: bin } = this.#shown;
    const x = values.map((_, k) => k * bin);
    const end = x[x.length - 1];
    const top = Math.max(...values.slice(2)) * 1.1 || 1;
    const line = this.#lines.find((one) => one.name === this.#chosen);
    const dots = (line?.harmonics ?? []).filter((harmonic) => harmonic.frequency_hz <= end && harmonic.level_db > 6);
    this.chart.draw({
      x: [0, end],
      y: [0, top],
      series: [{ x, y: values, look: "one" }],
      markers: this.#markers(end),
      dots: dots.map((dot) => ({ x: dot.frequency_hz, y: peakNear(this.#shown, dot.frequency_hz) })),
    });
    this.#buttons();
    this.#read(null);
  }

  #markers(end) {
    return this.#lines.flatMap((line) => {
      const chosen = line.name === this.#chosen;
      const shown = chosen && line.name !== "FTF" ? HARMONICS : 1;
      return Array.from({ length: shown }, (_, i) => ({
        x: line.frequency_hz * (i + 1),
        text: i === 0 ? line.name : `${i + 1}×${line.name === SHAFT ? "" : line.name}`,
        look: chosen ? "chosen" : "",
        key: line.name,
      })).filter((marker) => marker.x <= end);
    });
  }

  #buttons() {
    const before = new Map([...this.#families.children].map((button) => [button.dataset.family, button]));
    arrange(this.#families, this.#lines.map((line) => {
      const choose = () => this.#choose(line.name);
      const button = before.get(line.name) ?? h("button", {
        type: "button",
        class: "family",
        "data-family": line.name,
        on: { click: choose, focus: choose, pointerenter: choose },
      });
      button.setAttribute("aria-pressed", String(line.name === this.#chosen));
      const label = `${number(line.frequency_hz, 4)} Hz${line.level_db === null ? "" : ` · ${fixed(line.level_db, 1)} dB`}`;
      button.replaceChildren(h("b", {}, line.name), ` ${label}`);
      return button;
    }));
  }

  #read(at) {
    if (this.#shown === null) return;
    if (at !== null) {
      const k = Math.min(this.#shown.values.length - 1, Math.round(at / this.#shown.bin_hz));
      const hz = k * this.#shown.bin_hz;
      const order = this.#shown.speed_rpm ? `, order ${fixed((hz * 60) / this.#shown.speed_rpm, 2)}` : "";
      setText(this.#reading, `${number(hz, 5)} Hz${order}: ${this.#amount(this.#shown.values[k])}`);
      return;
    }
    const line = this.#lines.find((one) => one.name === this.#chosen);
    setText(this.#reading, line ? this.#describe(line) : "Fault frequencies need the bearing and the speed.");
  }

  #describe(line) {
    const said = [`${line.name} (${ABOUT[line.name] ?? "fault"}): ${number(line.frequency_hz, 4)} Hz`];
    said.push(`order ${fixed(line.order, 2)}`);
    if (line.found_hz && line.level_db > 6) said.push(`strongest at ${number(line.found_hz, 4)} Hz`);
    if (line.level_db !== null) said.push(`${fixed(line.level_db, 1)} dB over the floor`);
    else if (this.#kind === "envelope" && line.name !== SHAFT) said.push("recording too short to tell");
    said.push(this.#amount(peakNear(this.#shown, line.found_hz ?? line.frequency_hz)));
    if (line.foreign_hz) said.push(`without lines every ${number(line.foreign_hz, 3)} Hz`);
    if (line.ambiguous_with) said.push(`may be the shaft's ${line.ambiguous_with}`);
    return said.join(", ");
  }

  #amount(value) {
    return value === null ? "beyond the range" : `${number(value)} ${unitName(this.#shown.unit)}`;
  }
}

function familiesOf(shown) {
  if (!shown.speed_rpm) return shown.fault_lines;
  const shaft = { name: SHAFT, frequency_hz: shown.speed_rpm / 60, order: 1, found_hz: null, level_db: null, harmonics: [] };
  return [...shown.fault_lines, shaft];
}

function loudest(lines) {
  const [first] = [...lines].sort((one, other) => (other.level_db ?? -1) - (one.level_db ?? -1));
  return first?.name ?? null;
}

/** The largest value within a bin of a frequency; null where the spectrum ends before it. */
function peakNear({ values, bin_hz: bin }, hz) {
  const k = Math.round(hz / bin);
  return k < values.length ? Math.max(...values.slice(Math.max(0, k - 1), k + 2)) : null;
}

function rangeName(end) {
  if (end === null) return "whole range";
  return end < 1000 ? `to ${end} Hz` : `to ${end / 1000} kHz`;
}
