// The page: a stream of changes into a store, the store onto the screen, the address saying which asset is looked at.

import { get } from "./api.js";
import { AssetView, notice } from "./asset.js";
import { summaryOf } from "./alarms.js";
import { Chat } from "./chat.js";
import { byId, h, setText } from "./dom.js";
import { Fleet } from "./fleet.js";
import { Live } from "./live.js";
import { Store, byUrgency } from "./store.js";

const TICK_MS = 5000;
const RECORDINGS_MS = 60000;
const HEALTH_MS = 30000;
const STANDING_LIMIT = 1000;
const PAST_LIMIT = 100;
const CONNECTION = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting" };
const ADDRESS = /^#\/assets\/(.+)$/;

const store = new Store();
const fleet = new Fleet(store);
const view = new AssetView(store);
const chat = new Chat();

function chosenByAddress() {
  const found = ADDRESS.exec(location.hash);
  return found ? decodeURIComponent(found[1]) : null;
}

/** The asset to look at: the address's, else the one with the most urgent alarm, else the first. */
function chosen() {
  return chosenByAddress() ?? view.id ?? store.standing().sort(byUrgency)[0]?.asset_id ?? store.assets()[0]?.asset_id ?? null;
}

function followAddress() {
  if (location.hash !== "" && !location.hash.startsWith("#/")) return; // a place on the page, not another asset
  const id = chosen();
  document.body.dataset.view = chosenByAddress() === null ? "fleet" : "asset";
  if (id !== null) view.show(id);
  chat.about(id);
  fleet.show(id);
}

function showSummary() {
  const standing = store.standing();
  setText(byId("summary"), store.assets().length ? summaryOf(standing) : "");
  document.title = standing.length ? `(${standing.length}) Faultline` : "Faultline";
}

async function readAll() {
  try {
    const [{ assets }, standing, past] = await Promise.all([
      get("/assets"),
      get("/alarms", { state: "standing", limit: STANDING_LIMIT }),
      get("/alarms", { state: "normal", limit: PAST_LIMIT }),
    ]);
    store.putAlarms([...standing.alarms, ...past.alarms]);
    store.replaceAssets(assets);
    notice(null);
  } catch (error) {
    notice(error.status === 401 ? "Sign in to see anything here." : error.message);
  }
}

function connection(state) {
  byId("connection").dataset.state = state;
  setText(byId("connection"), CONNECTION[state]);
}

function announce(alarm) {
  byId("announcer").append(h("span", {}, `Alarm: ${alarm.reason}. `));
  while (byId("announcer").childNodes.length > 5) byId("announcer").firstChild.remove();
}

store.addEventListener("assets", () => {
  followAddress();
  view.update();
  showSummary();
});
store.addEventListener("alarms", ({ detail }) => {
  fleet.show(view.id);
  showSummary();
  if (detail === null || detail.asset_id === view.id) view.alarmed();
});
store.addEventListener("raised", ({ detail }) => announce(detail));
store.addEventListener("asset", ({ detail }) => {
  fleet.show(view.id);
  if (view.id === null) followAddress();
  else if (detail.asset_id === view.id) view.moved();
});

addEventListener("hashchange", () => {
  followAddress();
  if (chosenByAddress() !== null) byId("detail").focus({ preventScroll: true });
  scrollTo(0, 0);
});
setInterval(() => {
  fleet.show(view.id);
  view.tick();
}, TICK_MS);
setInterval(() => view.refresh(), RECORDINGS_MS);
setInterval(async () => {
  if (document.hidden || byId("connection").dataset.state !== "live") return;
  const { assets } = await get("/assets").catch(() => ({ assets: null }));
  if (assets !== null) store.replaceAssets(assets);
}, HEALTH_MS);

new Live({
  state: connection,
  opened: readAll,
  alarm: (transition) => store.apply(transition),
  assessment: (summary) => store.putAsset(summary),
}).open();
