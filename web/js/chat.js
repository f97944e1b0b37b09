// The assistant: questions about the asset that is looked at, answers with their sources.

import { post } from "./api.js";
import { byId, h, setText } from "./dom.js";

const PATIENCE_MS = 60000;
const MOST_TURNS = 30;
const ABSENT = "The assistant isn't available on this server.";
const AWAY = "The assistant doesn't answer now. Try again in a moment.";

export class Chat {
  #assetId = null;
  #turns = h("ol", { class: "turns", role: "log", "aria-label": "Conversation" });
  #offer = h("button", { type: "button", class: "suggestion", on: { click: () => this.#suggested() } });
  #question = h("input", { type: "text", maxlength: 1000, required: true, placeholder: "Ask about this asset", "aria-label": "Question", autocomplete: "off" });
  #button = h("button", { type: "submit", class: "primary" }, "Ask");
  #numbered = 0;

  constructor() {
    const form = h("form", { class: "answer", on: { submit: (event) => this.#asked(event) } }, this.#question, this.#button);
    byId("chat").append(this.#turns, this.#offer, form);
  }

  /** Questions are about this asset from now on. */
  about(assetId) {
    if (assetId === this.#assetId) return;
    this.#assetId = assetId;
    this.#turns.replaceChildren();
    this.#offer.hidden = assetId === null;
    setText(this.#offer, `Why is ${assetId} alarming and what do I do?`);
  }

  #suggested() {
    this.#question.value = this.#offer.textContent;
    this.#ask();
  }

  #asked(event) {
    event.preventDefault();
    this.#ask();
  }

  async #ask() {
    const question = this.#question.value.trim();
    if (question === "" || this.#button.disabled) return;
    const assetId = this.#assetId;
    const answer = h("div", { class: "said" }, h("p", { class: "waiting" }, "Looking through the documents …"));
    this.#turns.append(h("li", { class: "turn" }, h("p", { class: "asked" }, question), answer));
    while (this.#turns.children.length > MOST_TURNS) this.#turns.firstChild.remove();
    this.#question.value = "";
    this.#offer.hidden = true;
    this.#button.disabled = true;
    try {
      const told = await post("/chat", { question, asset_id: assetId }, { patienceMs: PATIENCE_MS });
      answer.replaceChildren(...this.#show(told));
    } catch (error) {
      const text = { 404: ABSENT, 405: ABSENT, 503: AWAY, 0: AWAY }[error.status] ?? error.message;
      answer.replaceChildren(h("p", { class: "refused" }, text));
    }
    this.#button.disabled = false;
    answer.scrollIntoView({ block: "nearest" });
  }

  #show({ answer, citations, abstained }) {
    const first = this.#numbered + 1;
    this.#numbered += citations.length;
    const sources = citations.map((citation, i) => source(citation, first + i, i + 1));
    const lines = answer.split(/\n+/).filter((line) => line.trim() !== "");
    const paragraphs = lines.map((line) => h("p", {}, ...withReferences(line, sources)));
    const said = h("div", { class: abstained ? "abstained" : "text" }, ...paragraphs);
    if (sources.length === 0) return [said];
    return [said, h("p", { class: "sources-title" }, "Sources"), h("ol", { class: "sources" }, ...sources.map((one) => one.item))];
  }
}

/** A line of an answer in which `[1]` is a link to the first source. */
function withReferences(line, sources) {
  return line.split(/(\[\d+\])/).map((piece) => {
    const cited = /^\[\d+\]$/.test(piece) ? sources[Number(piece.slice(1, -1)) - 1] : undefined;
    if (cited === undefined) return piece;
    return h("a", { class: "reference", href: cited.href, "aria-label": `Source ${piece}`, on: { click: cited.open } }, piece);
  });
}

/** A source: a link that opens the passage that was cited, word for word. */
function source({ document: name, span, quote }, id, shown) {
  const href = `#source-${id}`;
  const passage = h("blockquote", { id: href.slice(1), hidden: true }, quote);
  const turn = (event, opened) => {
    event.preventDefault();
    passage.hidden = !opened;
    link.setAttribute("aria-expanded", String(opened));
    if (opened) passage.scrollIntoView({ block: "nearest" });
  };
  const attributes = { href, "aria-expanded": "false", "aria-controls": passage.id };
  const link = h("a", { ...attributes, on: { click: (event) => turn(event, passage.hidden) } },
    `${shown}. ${name}${span ? `, ${span}` : ""}`);
  return { href, item: h("li", {}, link, passage), open: (event) => turn(event, true) };
}
