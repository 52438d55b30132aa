// When to beat: what the time, the human, the server's answers and the other tabs mean for the next ping. Nothing here
// looks at a clock or does anything: times come in, in ms, and the owner does what is due.

const SOON = 50; // ms in which the other tabs of the site can say that they are there
const SPREAD = 3000; // ms over which starts are spread at the most
const RETRY = 1000; // ms after which an unanswered ping is tried again, doubled each time
const DOUBLED = 5; // how often a wait is doubled at the most

export function createRhythm({ interval, idle, budget }, random = Math.random) {
  const known = {
    state: "stopped", // or "beating", "timeout" (no human for too long), "expired" (the server refuses)
    active: 0, // the last sign of a human, in any tab
    pinged: 0, // the last ping, of any tab
    due: 0, // the next ping
    left: 0, // pings without a human
    good: 0, // the last ping that the server took
  };
  const slack = interval * (0.03 + 0.05 * random()); // how much later than the tab that beats this one would do it
  let mine; // the last ping was this tab's
  let failures = 0;

  function start(now) {
    known.state = "beating";
    known.active = now;
    known.left = budget;
    known.due = now + SOON + random() * Math.min(interval / 10, SPREAD);
    failures = 0;
  }

  /** What is to be done next, and when: {at, ping: true}, or {at, ping: false} for the timeout. Whoever wakes up after
      that has nothing to ping for. */
  function next(now = 0) {
    if (known.state !== "beating") return undefined;
    const end = known.active + idle;
    return known.left > 0 && known.due < end && now < end ? { at: known.due, ping: true } : { at: end, ping: false };
  }

  /** The clock may have been set back: then what lies ahead comes that much sooner. */
  function clock(now) {
    const back = known.pinged - now;
    if (back <= 0) return;
    known.pinged = now;
    known.due -= back;
    known.active -= back;
  }

  /** A human did something. True: that ended a timeout. */
  function human(at, due = at) {
    if (at <= known.active) return false;
    known.active = at;
    known.left = budget;
    if (known.state !== "timeout") return false;
    known.state = "beating";
    known.due = due;
    return true;
  }

  /** A ping goes out now. Returns what it says: was there a human since the last one, and how many are left. */
  function pinging(now) {
    const active = known.active > known.pinged;
    mine = true;
    known.pinged = now;
    known.due = now + interval;
    known.left = Math.max(0, known.left - 1);
    return { active, left: known.left };
  }

  /** The answer to a ping, status 0 if there was none, and the seconds of its Retry-After. Returns how long to wait in
      ms if the server is to be spared or tried again. */
  function answered(now, status, seconds) {
    const good = status >= 200 && status < 300;
    const refused = status === 401 || status === 403;
    if (good || refused) {
      failures = 0;
      if (good) known.good = now;
      if (known.state !== "stopped" && refused) known.state = "expired";
      else if (known.state === "expired") known.state = "beating";
      return 0;
    }
    const double = 2 ** Math.min(failures++, DOUBLED);
    const spread = 1 + random() / 10;
    if (status) {
      known.due = Math.max(known.due, now + spread * (seconds ? seconds * 1000 : interval * 2 * double));
    } else {
      known.due = now + spread * Math.min(interval, RETRY * double);
      known.left = Math.min(budget, known.left + 1); // it reached nobody
    }
    return known.due - now;
  }

  /** The network is back: whoever had no answer asks again at once. */
  function reachable(now) {
    if (failures > 0) known.due = Math.min(known.due, now);
  }

  /** Another tab is at it in this moment. */
  function yieldTo(now) {
    known.due = Math.max(known.due, now + slack);
  }

  /** What the other tabs of the site are told. Of the pings only the one that beats speaks. */
  function facts() {
    const { state, active } = known;
    return mine ? known : { state, active };
  }

  /** What another tab says. Returns what the state became by it. */
  function merge(facts, now) {
    const { state, pinged } = known;
    if (state === "stopped" || facts.state === "stopped") return undefined;
    human(facts.active, now + slack);
    if (facts.pinged >= pinged) {
      mine = false;
      known.pinged = facts.pinged;
      known.left = facts.left;
      known.due = (facts.state === "expired" ? now : facts.due) + slack; // this tab's own token may still be good
    }
    if (known.state === "expired" && facts.good > pinged) known.state = "beating"; // somebody has logged in again
    return became(state);
  }

  /** "resume" or "expired", if the state was another before. */
  function became(before) {
    if (known.state === before) return undefined;
    return known.state === "expired" ? "expired" : "resume";
  }

  return { known, start, next, clock, human, pinging, answered, reachable, yieldTo, facts, merge, became };
}
