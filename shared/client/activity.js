// Is there a human? Whatever a person does to the page counts; what scripts do to it does not.

const SIGNS = ["keydown", "pointerdown", "pointermove", "touchstart", "touchmove", "wheel", "focus"];
const OFTEN = 1000; // ms: no need to know more exactly

export class Activity {
  #seen;
  #last = 0;
  #media; // a selector of what counts while it plays
  #watch;

  constructor(seen) {
    this.#seen = seen;
  }

  start(media) {
    this.stop();
    this.#media = media;
    this.#watch = new AbortController();
    const options = { capture: true, passive: true, signal: this.#watch.signal };
    const note = (event) => this.#note(event);
    for (const sign of SIGNS) window.addEventListener(sign, note, options);
    if (media) window.addEventListener("playing", () => this.playing() && this.#tell(), options);
    document.addEventListener("visibilitychange", () => document.hidden || this.#tell(), options);
  }

  stop() {
    this.#watch?.abort();
  }

  /** Is a video playing, where that counts, that somebody can see? */
  playing() {
    if (!this.#media || document.hidden) return false;
    return [...document.querySelectorAll(this.#media)].some(({ paused, ended }) => paused === false && !ended);
  }

  // A pointer that does not move is one below which the page moved. Of the focus only the window's own counts: scripts
  // can move that within the page.
  #note({ type, isTrusted, target, movementX, movementY }) {
    if (!isTrusted || (type === "pointermove" && !movementX && !movementY) || (type === "focus" && target !== window)) return;
    this.#tell();
  }

  #tell() {
    const now = Date.now();
    if (Math.abs(now - this.#last) < OFTEN) return;
    this.#last = now;
    this.#seen(now);
  }
}
