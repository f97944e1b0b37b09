// What the page knows of assets and alarms. A snapshot and the stream may tell the same change in either order: an
// alarm's sequence decides, so nothing goes back and nothing is counted twice.

export const STANDING = (alarm) => alarm.state !== "normal";
export const UNSEEN = (alarm) => alarm.state.endsWith("unacknowledged");

const RANKS = { high: 0, medium: 1, low: 2 };
const SHELVED = new Set(["shelved", "suppressed", "out_of_service"]);

/** The order of alarms on the page: what nobody has seen first, then by priority, then the newest. */
export function byUrgency(one, other) {
  return (
    Number(SHELVED.has(one.state)) - Number(SHELVED.has(other.state)) ||
    Number(UNSEEN(other)) - Number(UNSEEN(one)) ||
    RANKS[one.priority] - RANKS[other.priority] ||
    other.started_at.localeCompare(one.started_at)
  );
}

export class Store extends EventTarget {
  #assets = new Map();
  #alarms = new Map();
  #read = false;

  assets() {
    return [...this.#assets.values()];
  }

  asset(id) {
    return this.#assets.get(id);
  }

  alarmsOf(assetId) {
    return [...this.#alarms.values()].filter((alarm) => alarm.asset_id === assetId);
  }

  standing() {
    return [...this.#alarms.values()].filter(STANDING);
  }

  /** Take the assets that there are; one that isn't among them is gone. */
  replaceAssets(listed) {
    this.#assets = new Map(listed.map((asset) => [asset.asset_id, asset]));
    this.#tell("assets");
  }

  putAsset(asset) {
    // the stream tells the newest condition; what else was read of the asset stays
    this.#assets.set(asset.asset_id, { ...this.#assets.get(asset.asset_id), ...asset });
    this.#tell("asset", asset);
  }

  putAlarms(listed) {
    for (const alarm of listed) this.#merge(alarm);
    this.#read = true;
    this.#tell("alarms");
  }

  /** Take a transition from the stream. */
  apply(transition) {
    const known = this.#alarms.get(transition.alarm_id);
    const seen = ["acknowledged", "latched_acknowledged"].includes(transition.state) && transition.actor !== null;
    const news = this.#merge({
      acknowledged_by: known?.acknowledged_by ?? null,
      acknowledged_at: known?.acknowledged_at ?? null,
      ...transition,
      ...(seen ? { acknowledged_by: transition.actor, acknowledged_at: transition.at } : {}),
      changed_at: transition.at,
    });
    if (news) this.#tell("alarms", transition);
  }

  #merge(alarm) {
    const known = this.#alarms.get(alarm.alarm_id);
    if (known && known.sequence >= alarm.sequence) return false;
    this.#alarms.set(alarm.alarm_id, alarm);
    // What stood already when the page was opened is no news; what came during an outage is, whoever tells it first.
    if (this.#read && UNSEEN(alarm) && !(known && STANDING(known))) this.#tell("raised", alarm);
    return true;
  }

  #tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
