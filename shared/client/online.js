// Who is online: asked for again and again while somebody can see it, and drawn into an element. The browser keeps the
// list and asks with its tag, so that a list that is the same costs next to nothing.
import { ask } from "./ping.js";

const REFRESH = 5; // seconds

export function createOnline(tell) {
  let options;
  let timer;
  let last;
  let running = false;

  /** `online`: a selector of the element; "" for the events alone; undefined for nothing at all. */
  function start(given) {
    options = given;
    running = options.online !== undefined;
    last = undefined;
    again(0); // in a task of its own
  }

  function stop() {
    running = false;
  }

  function again(seconds) {
    clearTimeout(timer);
    timer = setTimeout(wake, seconds * 1000);
  }

  /** It may be visible again. */
  function wake() {
    clearTimeout(timer);
    if (running && !document.hidden) refresh();
  }

  async function refresh() {
    again((await look(options)) || +options.refresh || REFRESH);
  }

  // How many seconds the server wants us to wait, if it says so.
  async function look({ list, online, credentials }) {
    const { status, seconds, answer } = await ask(list, { credentials, headers: { Accept: "application/json" } });
    if (status !== 200) return seconds;
    try {
      const text = await answer.text();
      if (text === last || !running) return 0;
      last = text;
      const found = JSON.parse(text);
      draw(online && document.querySelector(online), found);
      tell("online", found);
    } catch {
      // the next time, perhaps
    }
    return 0;
  }

  return { start, stop, wake };
}

/** Fills an element with the names, as text and never as markup; `dir` keeps what one name does to the direction of
    letters out of the others. */
function draw(element, { count, online }) {
  if (!element) return;
  const kind = element.matches("ol,ul") ? "li" : "span";
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
