// How the page says things: numbers, times, and the field's words for codes.

const LOCALE = document.documentElement.lang;
const CLOCK = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short" });
const RELATIVE = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto", style: "narrow" });

const FAULTS = {
  outer_race: "Outer-race fault",
  inner_race: "Inner-race fault",
  rolling_element: "Rolling-element fault",
  ball: "Rolling-element fault",
  cage: "Cage fault",
};
const ABOUT_ZONES = {
  A: "as new",
  B: "fit for long-term operation",
  C: "not fit for long-term operation",
  D: "damaging",
};
const STATES = {
  normal: "Normal",
  unacknowledged: "Unacknowledged",
  acknowledged: "Acknowledged",
  returned_unacknowledged: "Returned, unacknowledged",
  latched_unacknowledged: "Latched, unacknowledged",
  latched_acknowledged: "Latched, acknowledged",
  shelved: "Shelved",
  suppressed: "Suppressed by design",
  out_of_service: "Out of service",
};

/** A code such as `loose_mount` as words; where the field has a word, that one. */
export function words(code) {
  const text = code.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const FEATURES = {
  velocity_rms_mm_s: "Velocity rms",
  bpfo_db: "BPFO line over the floor",
  bpfi_db: "BPFI line over the floor",
  bsf_db: "2×BSF line over the floor",
  ftf_db: "FTF line over the floor",
};

export const featureName = (code) => FEATURES[code] ?? words(code);
export const faultName = (code) => FAULTS[code] ?? words(code);
export const stateName = (code) => STATES[code] ?? words(code);
export const zoneMeaning = (zone) => (zone ? `Zone ${zone}, ${ABOUT_ZONES[zone]}` : "Not graded");

/** A number to `digits` significant digits; a dash where there is none. */
export function number(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: digits }).format(value).replace("-", "−");
}

/** A number with a fixed count of decimals: it doesn't jump about while it changes. */
export function fixed(value, decimals) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat(LOCALE, digits).format(value).replace("-", "−");
}

export function count(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

/** The API's nine decimals as milliseconds since 1970. */
export function milliseconds(moment) {
  return Date.parse(`${moment.slice(0, 23)}Z`);
}

/** The time of day, and the day where it isn't today. */
export function clock(ms) {
  const at = new Date(ms);
  const today = at.toDateString() === new Date().toDateString();
  return today ? CLOCK.format(at) : `${DAY.format(at)}, ${CLOCK.format(at)}`;
}

/** How long ago, in the coarsest unit that says enough. */
export function ago(ms, now = Date.now()) {
  const seconds = Math.round((ms - now) / 1000);
  if (seconds > -5) return "just now";
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (-seconds >= size) return RELATIVE.format(Math.trunc(seconds / size), unit);
  }
  return RELATIVE.format(seconds, "second");
}

/** A span of time in the coarsest unit that says enough. */
export function spell(ms) {
  const [size, unit] = [[86400000, "day"], [3600000, "hour"], [60000, "minute"], [1000, "second"]].find(([one]) => ms >= 2 * one) ?? [1000, "second"];
  const n = Math.round(ms / size);
  return count(n, unit);
}

/** Units as they are printed: `mm/s`, `°C`, `g²`. */
export function unitName(unit) {
  const squared = /^\((.+)\)2$/.exec(unit);
  if (squared) return `${unitName(squared[1])}²`;
  return { degC: "°C", um: "µm", "m/s2": "m/s²", 1: "" }[unit] ?? unit;
}
