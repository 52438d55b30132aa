// Sends what the page has to say: as it grows, and the rest when the page goes.
import { park, unpark } from "./parked.js";
import { createRecord } from "./record.js";
import { arm, flush, transports } from "./transports.js";

const AGE = 1000; // ms that an item waits for others
const RETRY = 1000; // ms after which a failed batch is sent again, doubled each time
const DOUBLED = 5; // how often
const FLIGHTS = 2; // batches on their way at once
const MOST = 5500; // bytes of a batch: as an address that is about 7,400, so any transport takes it
const QUOTA = 8; // batches, about 48 KiB: browsers take 64 of a page that goes, and of fetchLater
const GONE = -1; // after pagehide

export function createBeacons({ view, order, most }, tell) {
  const record = createRecord(Math.min(most, MOST), changed);
  let address; // once it has begun
  let name; // of what is parked
  let credentials;
  let aged; // the timer of what has no batch yet; none: it is old enough
  let failures = 0; // one after the other
  let waiting; // the timer after a failure, or GONE
  const armed = new Map(); // what disarms each batch, by its number and text
  let stale; // they are about to be renewed
  let left; // something may be parked
  let going; // the last pagehide in which the page recorded something

  const url = (query) => `${address}&${new URLSearchParams(query)}`;
  const send = (way, { query, text }, x) => way?.(url({ ...query, x }), text, credentials);

  // Once for all that changes now.
  function changed() {
    if (!stale) queueMicrotask(rearm);
    stale = true;
  }

  // Always armed is what would have to be said if the page died now. What stays the same is not touched: browsers that are
  // being closed lose what is armed anew.
  function rearm() {
    stale = false;
    if (!address || !order.includes("fetchLater")) return;
    const batches = [...record.batches, ...(record.news() ? record.ahead("leave", true) : [])];
    const wanted = new Map(batches.slice(-QUOTA).map((batch) => [batch.query.n + batch.text, batch]));
    for (const [name, disarm] of armed) if (!wanted.has(name) && armed.delete(name)) disarm?.();
    for (const [name, batch] of wanted) if (!armed.has(name)) armed.set(name, send(arm, batch, "fetchLater"));
  }

  // In order, as many as may be on their way.
  function pump() {
    const { batches } = record;
    if (waiting || batches.filter(({ flying }) => flying).length >= (failures ? 1 : FLIGHTS)) return;
    const next = () => batches.find(({ flying, said }) => !flying && !said);
    if (!next() && record.open[0] && !aged) record.cut(document.hidden ? "hidden" : "more", document.hidden);
    const batch = next();
    if (!batch) return;
    land(batch, send(flush, batch, "fetch"));
    pump();
  }

  async function land(batch, sent) {
    batch.flying = true;
    const { status, seconds } = await sent;
    batch.flying = false;
    if (!status || status === 429 || status >= 500) {
      waiting ??= setTimeout(again, seconds * 1000 || RETRY * 2 ** Math.min(failures++, DOUBLED));
    } else {
      failures = 0;
      if (left) park(name, [], [url(batch.query)]);
      if (status < 400) record.acknowledge(batch);
      else if (record.next < Infinity) {
        record.end();
        tell("refused", { status });
      }
    }
    pump();
  }

  // What was sent when the page seemed to go has no answer: now there is time for one.
  function again() {
    clearTimeout(waiting);
    waiting = undefined;
    for (const batch of record.batches) batch.said = false;
    pump();
  }

  function say(event) {
    record.cut(event);
    again();
  }

  // Parked first, for a browser that is being closed gives a page half a second; and said at once, by the first way that takes
  // it. What is sent again now says that the page goes, too, so that it is no sign of life.
  function leave(event) {
    if (record.news()) record.cut(event, true);
    const { batches } = record;
    const kept = batches.map(({ query, text }) => {
      if (query.e === "more") query.e = event;
      return [url(query), text, !failures && navigator.onLine];
    });
    left = true;
    park(name, kept);
    batches.forEach((batch, i) => {
      batch.said ||= order.some((way) => {
        const sent = (way !== "fetch" || i < QUOTA) && send(transports[way], batch, way);
        if (sent?.then) land(batch, sent);
        return sent;
      });
      if (!batch.said) kept[i][2] = false;
    });
    if (batches.some(({ said }) => !said)) park(name, kept);
    pump();
  }

  function grown() {
    if (!address) return;
    if (waiting === GONE) leave("leave");
    if (record.open[0]) aged ??= setTimeout(() => {
      aged = undefined;
      pump();
    }, AGE);
    changed();
    pump();
  }

  function listen() {
    // Before the page's own listeners and after them: what these record must not change what is armed already.
    const seen = () => (document.hidden ? leave("hidden") : again());
    addEventListener("visibilitychange", seen, true);
    addEventListener("visibilitychange", seen);
    addEventListener("online", again);
    addEventListener("pagehide", () => {
      waiting = GONE;
      leave("leave");
    });
    addEventListener("pageshow", ({ persisted }) => persisted && say("resume"));
    const loaded = () => setTimeout(() => {
      say("load");
      unpark(name, async (...parked) => (await flush(...parked, "omit")).status); // the visitor may be another now
    });
    if (document.readyState === "complete") loaded();
    else addEventListener("load", loaded);
  }

  return {
    /** An item, as JSON; undefined for what has none. */
    record(json) {
      // No listener of pagehide comes before those that the page has had for longer: here `event` is the one that they hear.
      if (address && event?.type === "pagehide" && event !== going) {
        going = event;
        leave("leave");
      }
      if (!json || !record.add(json)) tell("dropped", { json });
      grown();
    },

    start(options) {
      if (!address) listen();
      credentials = options.credentials;
      name = `heartbeat ${options.beacon}`;
      address = new URL(options.beacon);
      address.searchParams.set("v", view);
      if (options.token) address.searchParams.set("t", options.token);
      grown();
    },
  };
}
