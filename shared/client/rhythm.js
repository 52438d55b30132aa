// When to beat: what the time, the human, the server's answers and the other tabs mean for the next ping. Nothing here
// looks at a clock or does anything: times come in, in ms, and the owner does what is due.

const SOON = 50; // ms in which the other tabs of the site can say that they are there
const SPREAD = 3000; // ms over which starts are spread at the most
const RETRY = 1000; // ms after which an unanswered ping is tried again, doubled each time
const DOUBLED = 5; // how often a wait is doubled at the most

export class Rhythm {
  /** "stopped", "beating", "timeout" (no human for too long) or "expired" (the server refuses). */
  state = "stopped";
  active = 0; // the last sign of a human, in any tab
  pinged = 0; // the last ping, of any tab
  due = 0; // the next ping
  left = 0; // pings without a human
  good = 0; // the last ping that the server took
  #mine = false; // the last ping was this tab's

  #settings;
  #random;
  #slack; // how much later than the tab that beats this one would do it
  #failures = 0;

  constructor(settings, random = Math.random) {
    this.#settings = settings;
    this.#random = random;
    this.#slack = settings.interval * (0.03 + 0.05 * random());
  }

  start(now) {
    this.state = "beating";
    this.active = now;
    this.left = this.#settings.budget;
    this.due = now + SOON + this.#random() * Math.min(this.#settings.interval / 10, SPREAD);
    this.#failures = 0;
  }

  /** What is to be done next, and when: {at, ping: true}, or {at, ping: false} for the timeout. Whoever wakes up after
      that has nothing to ping for. */
  next(now = 0) {
    if (this.state !== "beating") return undefined;
    const end = this.active + this.#settings.idle;
    return this.left > 0 && this.due < end && now < end ? { at: this.due, ping: true } : { at: end, ping: false };
  }

  /** The clock may have been set back: then what lies ahead comes that much sooner. */
  clock(now) {
    const back = this.pinged - now;
    if (back <= 0) return;
    this.pinged = now;
    this.due -= back;
    this.active -= back;
  }

  /** A human did something. True: that ended a timeout. */
  human(at, due = at) {
    if (at <= this.active) return false;
    this.active = at;
    this.left = this.#settings.budget;
    if (this.state !== "timeout") return false;
    this.state = "beating";
    this.due = due;
    return true;
  }

  /** A ping goes out now. Returns what it says: was there a human since the last one, and how many are left. */
  pinging(now) {
    const active = this.active > this.pinged;
    this.#mine = true;
    this.pinged = now;
    this.due = now + this.#settings.interval;
    this.left = Math.max(0, this.left - 1);
    return { active, left: this.left };
  }

  /** The answer to a ping, status 0 if there was none, and the seconds of its Retry-After. Returns how long to wait in
      ms if the server is to be spared or tried again. */
  answered(now, status, seconds) {
    const good = status >= 200 && status < 300;
    const refused = status === 401 || status === 403;
    if (!good && !refused) return this.#failed(now, status, seconds);
    this.#failures = 0;
    if (good) this.good = now;
    if (this.state !== "stopped" && refused) this.state = "expired";
    else if (this.state === "expired") this.state = "beating";
    return 0;
  }

  #failed(now, status, seconds) {
    const { interval, budget } = this.#settings;
    const double = 2 ** Math.min(this.#failures++, DOUBLED);
    const spread = 1 + this.#random() / 10;
    if (status) {
      this.due = Math.max(this.due, now + spread * (seconds ? seconds * 1000 : interval * 2 * double));
    } else {
      this.due = now + spread * Math.min(interval, RETRY * double);
      this.left = Math.min(budget, this.left + 1); // it reached nobody
    }
    return this.due - now;
  }

  /** The network is back: whoever had no answer asks again at once. */
  reachable(now) {
    if (this.#failures > 0) this.due = Math.min(this.due, now);
  }

  /** Another tab is at it in this moment. */
  yield(now) {
    this.due = Math.max(this.due, now + this.#slack);
  }

  /** What the other tabs of the site are told. Of the pings only the one that beats speaks. */
  facts() {
    const { state, active, pinged, due, left, good } = this;
    return this.#mine ? { state, active, pinged, due, left, good } : { state, active };
  }

  /** What another tab says. Returns "resume" or "expired" if that is news. */
  merge(facts, now) {
    if (this.state === "stopped" || facts.state === "stopped") return undefined;
    const before = this.state;
    const known = this.pinged;
    this.human(facts.active, now + this.#slack);
    if (facts.pinged >= this.pinged) {
      this.#mine = false;
      this.pinged = facts.pinged;
      this.left = facts.left;
      this.due = facts.due + this.#slack;
      if (facts.state === "expired") this.state = "expired";
    }
    if (this.state === "expired" && facts.good > known) this.state = "beating"; // somebody has logged in again
    if (this.state === before) return undefined;
    return this.state === "expired" ? "expired" : "resume";
  }
}
