// Who is online: asked for again and again while somebody can see it, and drawn into an element. The browser keeps the
// list and asks with its tag, so that a list that is the same costs next to nothing.
import { ask } from "./ping.js";

const REFRESH = 5; // seconds

export class Online {
  #tell;
  #options;
  #timer;
  #last;
  #running = false;

  constructor(tell) {
    this.#tell = tell;
  }

  /** `online`: a selector of the element; "" for the events alone; undefined for nothing at all. */
  start(options) {
    this.stop();
    this.#options = options;
    this.#running = options.online !== undefined;
    this.#last = undefined;
    this.#timer = setTimeout(() => this.wake()); // in a task of its own
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  /** It may be visible again. */
  wake() {
    clearTimeout(this.#timer);
    if (this.#running && !document.hidden) this.#refresh();
  }

  async #refresh() {
    const seconds = (await this.#ask(this.#options)) || Number(this.#options.refresh) || REFRESH;
    if (!this.#running || document.hidden) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.wake(), seconds * 1000);
  }

  // How many seconds the server wants us to wait, if it says so.
  async #ask({ list, online, credentials }) {
    const { status, seconds, answer } = await ask(list, { credentials, headers: { Accept: "application/json" } });
    if (status !== 200) return seconds;
    try {
      const text = await answer.text();
      if (text === this.#last || !this.#running) return 0;
      this.#last = text;
      const found = JSON.parse(text);
      draw(online && document.querySelector(online), found);
      this.#tell("online", found);
    } catch {
      // the next time, perhaps
    }
    return 0;
  }
}

/** Fills an element with the names, as text and never as markup; `dir` keeps what one name does to the direction of
    letters out of the others. */
function draw(element, { count, online }) {
  if (!element) return;
  const kind = /^[OU]L$/.test(element.tagName) ? "li" : "span";
  const items = online.map(({ name, active }) => {
    const item = document.createElement(kind);
    item.textContent = name;
    item.dir = "auto";
    item.dataset.active = active;
    return item;
  });
  element.dataset.count = count;
  element.replaceChildren(...items);
}
