// One alarm at a time. Browsers let the timers of a hidden page run once a minute; those of a Worker keep their rhythm.
// It is loaded from the script's own address, as strict policies allow (CSP worker-src), and where there can be none,
// a timer of the page has to do.

/** In the Worker: a number is how long to wait; any message back is the alarm. */
export function serveAlarms() {
  let timer;
  onmessage = ({ data }) => {
    clearTimeout(timer);
    timer = setTimeout(postMessage, data, 0);
  };
}

export function createAlarm(ring) {
  let worker;
  let timer;
  let wait;

  /** From now on a Worker keeps time, if there can be one. `address`: of the script that it is. */
  function start(address) {
    if (worker || new URL(address).origin !== location.origin) return;
    try {
      worker = new Worker(address);
    } catch {
      return;
    }
    worker.onmessage = ring;
    worker.onerror = (event) => {
      event.preventDefault(); // it concerns the page no further
      stop();
      set(wait);
    };
    set(wait);
  }

  /** In so many ms, at most those that a timer can wait (2^31 - 1). */
  function set(ms) {
    wait = ms;
    clearTimeout(timer);
    if (worker) worker.postMessage(wait);
    else timer = setTimeout(ring, wait);
  }

  function stop() {
    clearTimeout(timer);
    worker?.terminate();
    worker = undefined;
  }

  return { start, set, stop };
}
