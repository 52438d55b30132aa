// One alarm at a time. Browsers let the timers of a hidden page run once a minute; those of a Worker keep their rhythm.
// It is loaded from the script's own address, as strict policies allow (CSP worker-src), and where there can be none,
// a timer of the page has to do.

const LONGEST = 2 ** 31 - 1; // ms that a timer can wait; after so many the owner looks again

/** In the Worker: a number is how long to wait; any message back is the alarm. */
export function serveAlarms() {
  let timer;
  onmessage = ({ data }) => {
    clearTimeout(timer);
    timer = setTimeout(postMessage, data, 0);
  };
}

export class Alarm {
  #ring;
  #worker;
  #timer;
  #wait;

  constructor(ring) {
    this.#ring = ring;
  }

  /** From now on a Worker keeps time, if there can be one. `address`: of the script that it is. */
  start(address) {
    if (this.#worker || new URL(address).origin !== location.origin) return;
    try {
      this.#worker = new Worker(address);
    } catch {
      return;
    }
    this.#worker.onmessage = () => this.#ring();
    this.#worker.onerror = (event) => {
      event.preventDefault(); // it concerns the page no further
      this.stop();
      this.set(this.#wait);
    };
    this.set(this.#wait);
  }

  set(wait) {
    this.#wait = Math.min(Math.max(wait, 0), LONGEST);
    clearTimeout(this.#timer);
    if (this.#worker) this.#worker.postMessage(this.#wait);
    else this.#timer = setTimeout(this.#ring, this.#wait);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}
