// What was said when a page was left, and had no answer: it waits in this browser for the next page of the site, for a
// browser that is being closed, or has no network, may have sent nothing. The server keeps one of two that are the same, so
// nothing here has to be exact between tabs.

const MOST = 48; // batches

// Storage may be forbidden, or full, or empty: then there is nothing.
const all = (name) => {
  try {
    return JSON.parse(localStorage[name]) ?? [];
  } catch {
    return [];
  }
};

/** From now on these are parked, [address, text, whether the browser took it], and those of the addresses that have
    gone no more. */
export function park(name, added, gone = added.map(([url]) => url)) {
  const list = [...all(name).filter(([url]) => !gone.includes(url)), ...added];
  try {
    localStorage[name] = JSON.stringify(list.slice(-MOST));
  } catch {
    // lost
  }
}

/** Sends them, one after the other; `send` resolves to the status, 0: no answer. Who follows a link of the site has not
    closed his browser: what it took, it has sent. */
export async function unpark(name, send) {
  const [navigation] = performance.getEntriesByType("navigation");
  const follows = navigation?.type === "navigate" && document.referrer.startsWith(location.origin);
  for (const [url, text, taken] of all(name)) {
    const status = taken && follows ? 204 : await send(url, text);
    if (!status || status >= 500) return;
    if (status !== 429) park(name, [], [url]);
  }
}
