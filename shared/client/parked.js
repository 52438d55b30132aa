// What no transport took, or was sent while the server was away: it waits in this browser for the next page of the site.
// The server keeps one of two that are the same, so nothing here has to be exact between tabs.

const MOST = 48; // batches
const OLDEST = 86400000; // ms

// Storage may be forbidden, or full, or empty: then there is nothing.
const all = (name) => {
  try {
    return JSON.parse(localStorage[name]);
  } catch {
    return [];
  }
};
const change = (name, url, ...added) => {
  const list = [...all(name).filter((each) => each[0] !== url), ...added];
  try {
    localStorage[name] = JSON.stringify(list.slice(-MOST));
  } catch {
    // lost
  }
};

export function park(name, url, text) {
  change(name, url, [url, text, Date.now()]);
}

/** Sends them, one after the other; `send` resolves to false where that has to wait for another page. */
export async function unpark(name, send) {
  for (const [url, text, at] of all(name)) {
    if (Date.now() - at < OLDEST && !(await send(url, text))) return;
    change(name, url);
  }
}
