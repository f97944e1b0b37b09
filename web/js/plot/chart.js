// A chart in SVG: axes, lines, an area, limits, markers, and a cursor that follows pointer, finger or arrow keys.

import { arrange, h, s } from "../dom.js";
import { SCALES, bandPath, linePath, nearest } from "./scale.js";

const MARGIN = { top: 10, right: 12, bottom: 26, left: 46 };
const LABELS_PX = 14;
const MARKER_REACH_PX = 14;
const HALF_LETTER_PX = 4;

export class Chart {
  #drawing = s("svg", { class: "plot", role: "img", "aria-hidden": "true" });
  #cursor = s("line", { class: "plot-cursor" });
  #data = null;
  #scales = null;
  #at = null;
  #options;

  /**
   * @param options `{label, height, x, y, onCursor(x or null), onMarker(marker)}`; `x` and `y` name scales.
   */
  constructor(options) {
    this.#options = { height: 200, x: "linear", y: "linear", onCursor: () => {}, onMarker: () => {}, ...options };
    this.element = h("div", {
      class: "chart",
      role: "group",
      tabindex: "0",
      "aria-label": `${options.label}. Arrow keys move the cursor.`,
      on: {
        pointermove: (event) => this.#point(event),
        pointerdown: (event) => this.#point(event, true),
        pointerleave: () => this.#move(null),
        blur: () => this.#move(null),
        keydown: (event) => this.#key(event),
      },
    }, this.#drawing);
    new ResizeObserver(() => this.#render()).observe(this.element);
  }

  /**
   * Draw `{x: [low, high], y: [low, high], xLabel, yLabel, series, area, limits, markers, dots}`: series
   * `{x, y, look, gap}`, area `{x, low, high}`, limits `{y, text}`, markers `{x, text, look, key}`, dots `{x, y}`.
   */
  draw(data) {
    this.#data = data;
    this.#render();
  }

  #render() {
    const width = Math.round(this.element.clientWidth);
    if (this.#data === null || width < 80) return;
    const { height } = this.#options;
    const inner = { right: width - MARGIN.right, bottom: height - MARGIN.bottom };
    const x = SCALES[this.#options.x](this.#data.x, [MARGIN.left, inner.right]);
    const top = MARGIN.top + (this.#data.markers ? LABELS_PX : 0);
    const y = SCALES[this.#options.y](this.#data.y, [inner.bottom, top]);
    this.#scales = { x, y, top, bottom: inner.bottom };
    this.#drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#drawing.setAttribute("height", height);
    arrange(this.#drawing, [
      this.#axes(x, y, inner),
      ...this.#lines(x, y, inner),
      ...this.#markers(x, inner),
      ...(this.#data.dots ?? []).map((dot) => s("circle", { class: "plot-dot", cx: x(dot.x), cy: y(dot.y), r: 4 })),
      this.#cursor,
    ]);
    this.#place();
  }

  #axes(x, y, inner) {
    const axes = s("g", { class: "plot-axes" });
    for (const { value, text } of y.ticks(4)) {
      axes.append(
        s("line", { class: "plot-grid", x1: MARGIN.left, x2: inner.right, y1: y(value), y2: y(value) }),
        s("text", { x: MARGIN.left - 8, y: y(value), class: "plot-tick plot-tick-y" }, text),
      );
    }
    for (const { value, text } of x.ticks(Math.max(2, Math.floor((inner.right - MARGIN.left) / 90)))) {
      axes.append(s("text", { x: x(value), y: inner.bottom + 18, class: "plot-tick plot-tick-x" }, text));
    }
    axes.append(s("line", { class: "plot-base", x1: MARGIN.left, x2: inner.right, y1: inner.bottom, y2: inner.bottom }));
    return axes;
  }

  #lines(x, y, inner) {
    const { series = [], area = null, limits = [] } = this.#data;
    const drawn = limits.flatMap((limit) => [
      s("line", { class: "plot-limit", x1: MARGIN.left, x2: inner.right, y1: y(limit.y), y2: y(limit.y) }),
      s("text", { class: "plot-limit-text", x: MARGIN.left + 4, y: y(limit.y) - 5 }, limit.text),
    ]);
    if (area) drawn.push(s("path", { class: "plot-area", d: bandPath(area.x, area.low, area.high, x, y) }));
    for (const line of series) {
      drawn.push(s("path", { class: `plot-line ${line.look}`, d: linePath(line.x, line.y, x, y, line.gap) }));
    }
    return drawn;
  }

  #markers(x, inner) {
    const inside = (this.#data.markers ?? []).filter((marker) => marker.x >= this.#data.x[0] && marker.x <= this.#data.x[1]);
    const labelled = roomFor(inside, x);
    return inside.map((marker) => {
      const at = x(marker.x);
      const group = s("g", { class: `plot-marker ${marker.look}`, "data-marker": marker.key });
      group.append(s("line", { x1: at, x2: at, y1: MARGIN.top + LABELS_PX - 6, y2: inner.bottom }));
      if (labelled.has(marker)) group.append(s("text", { x: at, y: MARGIN.top + LABELS_PX - 11 }, marker.text));
      return group;
    });
  }

  #point(event, pressed = false) {
    if (this.#scales === null) return;
    const at = event.clientX - this.element.getBoundingClientRect().left;
    const near = (this.#data.markers ?? [])
      .map((marker) => ({ marker, distance: Math.abs(this.#scales.x(marker.x) - at) }))
      .sort((one, other) => one.distance - other.distance)[0];
    if (near && near.distance <= MARKER_REACH_PX && (pressed || event.pointerType === "mouse")) {
      this.#options.onMarker(near.marker);
    }
    this.#move(this.#scales.x.invert(at));
  }

  #key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 };
    const values = this.#data?.series?.[0]?.x ?? this.#data?.area?.x;
    if (!(event.key in steps) || !values?.length) return;
    event.preventDefault();
    const index = this.#at === null ? values.length - 1 : nearest(values, this.#at) + steps[event.key];
    this.#move(values[Math.min(values.length - 1, Math.max(0, index))]);
  }

  #move(value) {
    const bounds = this.#data?.x;
    this.#at = value === null || !bounds ? null : Math.min(bounds[1], Math.max(bounds[0], value));
    this.#place();
    this.#options.onCursor(this.#at);
  }

  #place() {
    this.#cursor.toggleAttribute("hidden", this.#at === null);
    if (this.#at === null || this.#scales === null) return;
    const at = this.#scales.x(this.#at);
    const ends = { x1: at, x2: at, y1: this.#scales.top, y2: this.#scales.bottom };
    for (const [name, end] of Object.entries(ends)) this.#cursor.setAttribute(name, end);
  }
}

/** The markers whose labels fit side by side; those of the chosen family come first. */
function roomFor(markers, x) {
  const ranked = [...markers].sort((one, other) => other.look.length - one.look.length);
  const placed = [];
  for (const marker of ranked) {
    const [at, half] = [x(marker.x), marker.text.length * HALF_LETTER_PX + 3];
    if (placed.every((other) => Math.abs(other.at - at) > half + other.half)) placed.push({ marker, at, half });
  }
  return new Set(placed.map((one) => one.marker));
}

/** A figure: title, controls, the chart, and beneath it what the cursor reads. */
export function figure(title, chart, { controls = [], foot = [], look = "" } = {}) {
  return h("figure", { class: `figure ${look}` },
    h("figcaption", { class: "figure-head" }, h("h3", { class: "figure-title" }, title), ...controls),
    chart.element,
    ...foot,
  );
}
