// A browser that the test turns by hand: its clock, its events, its ways of sending, and what they were given.
export const START = 1_800_000_000_000;
const RealDate = Date;

/** The globals of a page, until the next one. `answer` is called with what is sent by fetch, and says what becomes of it:
    {status, seconds}, or nothing while there is no answer; `has` names the transports of the browser; `referrer` and
    `navigation` tell how the page was come by. */
export function page({ has = ["fetchLater", "sendBeacon"], answer = () => ({ status: 204 }), ready = "interactive", storage = {}, referrer = "", navigation = "navigate" } = {}) {
  let now = START;
  let made = 0;
  const timers = new Map(); // when each is due, and what then
  const listeners = []; // [{name, listener, first}]
  const sent = []; // {way, v, n, e, f, c, x, z, text}, and of fetchLater `aborted`
  const note = (way, address, text, how = {}) => {
    const { searchParams, origin, pathname } = new URL(address, "https://page.example/");
    const { n, ...words } = Object.fromEntries(searchParams);
    const entry = { way, to: origin + pathname, n: Number(n), ...words, text, how };
    sent.push(entry);
    return entry;
  };
  const state = { sent, answer, taken: true, hidden: false };

  const globals = {
    window: globalThis,
    event: undefined,
    addEventListener(name, listener, first = false) {
      const again = listeners.some((each) => each.name === name && each.listener === listener && each.first === first);
      if (!again) listeners.push({ name, listener, first });
    },
    Date: class extends RealDate { static now() { return now; } },
    setTimeout(then, ms = 0, ...words) {
      timers.set(++made, { at: now + ms, then: () => then(...words) });
      return made;
    },
    clearTimeout: (timer) => timers.delete(timer),
    document: { get hidden() { return state.hidden; }, readyState: ready, referrer },
    location: new URL("https://page.example/next"),
    performance: { getEntriesByType: () => [{ type: navigation }] },
    navigator: { onLine: true, sendBeacon: has.includes("sendBeacon") ? (url, text) => state.taken && Boolean(note("beacon", url, text)) : undefined },
    localStorage: storage,
    CompressionStream: undefined,
    Image: class { set src(url) { note("image", url, Buffer.from(new URL(url).searchParams.get("d"), "base64url").toString()); } },
    async fetch(url, how) {
      const entry = note("fetch", url, how.body, how);
      const answered = await state.answer(entry);
      if (!answered) return new Promise(() => {});
      if (!answered.status) throw new TypeError("Failed to fetch");
      return { status: answered.status, headers: new Headers(answered.seconds ? { "Retry-After": answered.seconds } : {}) };
    },
    fetchLater: has.includes("fetchLater") ? (url, how) => {
      const armed = () => sent.filter((each) => each.way === "fetchLater" && !each.aborted);
      if (armed().reduce((sum, { text }) => sum + text.length, how.body.length) > 60_000) throw new DOMException("", "QuotaExceededError");
      const entry = note("fetchLater", url, how.body, how);
      how.signal.addEventListener("abort", () => { entry.aborted = true; });
    } : undefined,
  };
  for (const [name, value] of Object.entries(globals)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

  return Object.assign(state, {
    /** As browsers do it: what happens to the document hears first who captures; what happens to the window itself, who has
        listened for longer. Microtasks come between listeners. */
    async fire(name, more = {}) {
      const heard = listeners.filter((each) => each.name === name);
      if (name === "visibilitychange") heard.sort((a, b) => b.first - a.first);
      for (const { listener } of heard) {
        globalThis.event = Object.assign(new Event(name), more);
        listener(globalThis.event);
        await settled();
        globalThis.event = undefined;
      }
      await settled();
    },
    async show(visible) {
      state.hidden = !visible;
      await this.fire("visibilitychange");
    },
    async pass(ms) {
      await settled();
      const end = now + ms;
      for (;;) {
        const [next] = [...timers].sort(([, a], [, b]) => a.at - b.at);
        if (!next || next[1].at > end) break;
        now = Math.max(now, next[1].at);
        timers.delete(next[0]);
        next[1].then();
        await settled();
      }
      now = end;
      await settled();
    },
    by: (way) => sent.filter((each) => each.way === way),
    /** What the browser would still send if the page died now. */
    armed: () => sent.filter((each) => each.way === "fetchLater" && !each.aborted),
  });
}

/** All that needs no time has happened. */
export const settled = () => new Promise((done) => setImmediate(done));
