// Requests to the API. A refusal is a Refused with the status and what the API says about it.

const BASE = "/v1";
const PATIENCE_MS = 20000;

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** GET a resource; parameters that are null are left out. */
export function get(path, parameters = {}, signal = undefined) {
  const given = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined);
  const query = new URLSearchParams(given).toString();
  return ask(`${BASE}${path}${query ? `?${query}` : ""}`, {}, signal);
}

/** POST a JSON body. `key` names the request, so that asking twice orders once. */
export function post(path, body, { key = null, patienceMs = PATIENCE_MS } = {}) {
  const headers = { "content-type": "application/json", ...(key ? { "idempotency-key": key } : {}) };
  return ask(`${BASE}${path}`, { method: "POST", headers, body: JSON.stringify(body) }, undefined, patienceMs);
}

/** A name that no other request has. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A path segment. */
export const part = encodeURIComponent;

async function ask(url, options, signal, patienceMs = PATIENCE_MS) {
  const patience = AbortSignal.timeout(patienceMs);
  const given = signal ? AbortSignal.any([signal, patience]) : patience;
  let answer;
  try {
    answer = await fetch(url, { ...options, signal: given });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, "The server doesn't answer.");
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  throw new Refused(answer.status, body.detail ?? `The server answered ${answer.status}.`);
}
