// Scales and ticks: where values lie on the drawing, and which of them are named.

import { clock, number } from "../words.js";

/** A linear scale from `[low, high]` to pixels `[from, to]`. */
export function linear([low, high], [from, to]) {
  const span = high - low || 1;
  const scale = (value) => from + ((value - low) / span) * (to - from);
  scale.invert = (pixel) => low + ((pixel - from) / (to - from)) * span;
  scale.ticks = (most) => niceTicks(low, high, most).map((value) => ({ value, text: number(value, 4) }));
  return scale;
}

/** A logarithmic scale; values at or below zero lie at its lower end. */
export function logarithmic([low, high], [from, to]) {
  const inner = linear([Math.log10(low), Math.log10(high)], [from, to]);
  const scale = (value) => inner(Math.log10(Math.max(value, low)));
  scale.invert = (pixel) => 10 ** inner.invert(pixel);
  scale.ticks = (most) => {
    const first = Math.ceil(Math.log10(low) - 1e-9);
    const decades = Math.floor(Math.log10(high) + 1e-9) - first + 1;
    const step = Math.max(1, Math.ceil(decades / most));
    const exponents = Array.from({ length: Math.max(0, Math.ceil(decades / step)) }, (_, i) => first + i * step);
    return exponents.map((exponent) => ({ value: 10 ** exponent, text: number(10 ** exponent, 1) }));
  };
  return scale;
}

/** A scale of time (milliseconds since 1970), its ticks at whole seconds, minutes or hours. */
export function time([low, high], range) {
  const scale = linear([low, high], range);
  scale.ticks = (most) => {
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];
    const step = 1000 * (steps.find((seconds) => (high - low) / 1000 / seconds <= most) ?? 86400);
    const found = [];
    for (let at = Math.ceil(low / step) * step; at <= high; at += step) {
      found.push({ value: at, text: step < 60000 ? clock(at) : clock(at).replace(/:\d\d$/, "") });
    }
    return found;
  };
  return scale;
}

export const SCALES = { linear, logarithmic, time };

/** At most about `most` round numbers from `low` to `high`. */
export function niceTicks(low, high, most) {
  const rough = (high - low) / Math.max(1, most);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k += 1) found.push(k * step + 0); // + 0: no minus zero
  return found;
}

/**
 * The path of a line: no more than four points to a pixel column (first, least, greatest, last), so no peak is lost
 * however many values there are. A gap wider than `widest` (in units of x) breaks the line.
 */
export function linePath(xs, ys, x, y, widest = Infinity) {
  let path = "";
  let column = null;
  let before = null;
  const write = (point, how) => {
    path += `${how}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
  };
  const close = () => {
    if (column === null) return;
    const ordered = [column.least, column.greatest].sort((one, other) => one[2] - other[2]);
    const points = [column.first, ...ordered, column.last];
    points.forEach((point, i) => {
      if (i === 0) write(point, column.joined ? "L" : "M");
      else if (point[2] !== points[i - 1][2]) write(point, "L");
    });
    column = null;
  };
  for (let i = 0; i < xs.length; i += 1) {
    if (!Number.isFinite(ys[i])) {
      close();
      before = null;
      continue;
    }
    const joined = before !== null && xs[i] - before <= widest;
    const point = [x(xs[i]), y(ys[i]), i];
    if (column === null || Math.floor(point[0]) !== column.at || !joined) {
      close();
      column = { at: Math.floor(point[0]), joined, first: point, least: point, greatest: point, last: point };
    }
    if (point[1] > column.least[1]) column.least = point;
    if (point[1] < column.greatest[1]) column.greatest = point;
    column.last = point;
    before = xs[i];
  }
  close();
  return path;
}

/** The path of the area between two lines over the same x. */
export function bandPath(xs, lows, highs, x, y) {
  const points = (values) => values.map((value, i) => `${x(xs[i]).toFixed(1)} ${y(value).toFixed(1)}`);
  return xs.length === 0 ? "" : `M${points(highs).join("L")}L${points(lows).reverse().join("L")}Z`;
}

/** The index of the value nearest to `wanted` in ascending `values`. */
export function nearest(values, wanted) {
  let low = 0;
  let high = values.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (values[middle] <= wanted) low = middle;
    else high = middle;
  }
  return high > low && values[high] - wanted < wanted - values[low] ? high : low;
}
