// The stream of changes. The browser itself reconnects after a broken connection and says how far it got
// (Last-Event-ID); where the server refuses, the browser gives up, and this goes on from the same position.

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 20000;

export class Live {
  #source = null;
  #position = "";
  #wait = FIRST_WAIT_MS;
  #timer = 0;
  #hear;

  /**
   * @param hear `{state(name), opened(), alarm(transition), assessment(summary)}`; `opened` is called after every
   * connection: what the stream doesn't repeat is to be read then.
   */
  constructor(hear) {
    this.#hear = hear;
    addEventListener("online", () => this.#retryNow());
    document.addEventListener("visibilitychange", () => this.#retryNow());
  }

  open() {
    this.#source?.close();
    const after = this.#position === "" ? "" : `?after=${encodeURIComponent(this.#position)}`;
    const source = new EventSource(`/v1/events${after}`);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#wait = FIRST_WAIT_MS;
      this.#hear.state("live");
      this.#hear.opened();
    });
    source.addEventListener("error", () => this.#failed(source));
    source.addEventListener("alarm", (event) => this.#heard(event, this.#hear.alarm));
    source.addEventListener("assessment", (event) => this.#heard(event, this.#hear.assessment));
  }

  #heard(event, hear) {
    this.#position = event.lastEventId || this.#position;
    hear(JSON.parse(event.data));
  }

  #failed(source) {
    this.#hear.state("reconnecting");
    if (source !== this.#source || source.readyState !== EventSource.CLOSED) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), this.#wait);
    this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT_MS);
  }

  #retryNow() {
    if (document.hidden || this.#source?.readyState === EventSource.OPEN || this.#source === null) return;
    clearTimeout(this.#timer);
    this.open();
  }
}
