// The client of one page: its parts, and what they have to do with each other.
import { Activity } from "./activity.js";
import { Alarm } from "./alarm.js";
import { beacons } from "./beacons.js";
import { Online } from "./online.js";
import { ask, NONE, saying } from "./ping.js";
import { Rhythm } from "./rhythm.js";
import { identity, Tabs } from "./tabs.js";

export class Heartbeat {
  #given; // {settings, base: the address of the tag, own: that of the client, nonce, tell: fires an event}
  #options;
  #rhythm;
  #activity = new Activity((at) => this.#human(at));
  #alarm = new Alarm(() => this.#ring());
  #tabs = new Tabs();
  #online;
  #beacons; // none where the server keeps none
  #frame; // a promise: it is loaded when it is first needed
  #page; // ends what listens to the page
  #at; // what the alarm is set to
  #busy = false; // a ping is due and not sent yet, or not answered
  #shared = 0; // when the other tabs were last told of a human

  constructor(given) {
    const { base, settings, tell } = given;
    this.#given = given;
    this.#options = { ping: new URL("ping", base), list: new URL("online", base), beacon: new URL("beacon", base) };
    this.#rhythm = new Rhythm(settings);
    this.#online = new Online(tell);
    if (settings.view) this.#beacons = beacons(given);
  }

  /** Takes options, named as the attributes of the tag; those that are not given stay as they were. */
  configure(options = {}) {
    Object.assign(this.#options, options);
    for (const name of ["ping", "list", "frame", "beacon"]) {
      if (this.#options[name] && this.#options[name] !== "off") this.#options[name] = new URL(this.#options[name], document.baseURI);
    }
  }

  /** An item, as JSON, that the page wants the server to have. */
  record(json) {
    this.#beacons?.record(json);
  }

  /** From now on what is recorded is sent. */
  speak() {
    if (document.prerendering) return;
    if (this.#options.beacon.href) this.#beacons?.start(this.#options);
    else this.#beacons = undefined; // "off"
  }

  start(options) {
    this.stop();
    this.configure(options);
    if (document.prerendering) {
      document.addEventListener("prerenderingchange", () => this.start(), { once: true });
      return;
    }
    this.speak();
    this.#rhythm.start(Date.now());
    this.#activity.start(this.#options.playing);
    this.#listen();
    this.#open();
    this.#online.start(this.#options);
  }

  stop() {
    this.#rhythm.state = "stopped";
    this.#page?.abort();
    this.#activity.stop();
    this.#rest();
    this.#close();
  }

  /** Pings now, whatever the rhythm says. Resolves to the status, 0 if there was no answer. */
  async ping() {
    const says = this.#rhythm.pinging(Date.now());
    this.#share();
    this.#arm();
    const { status, seconds, answer: _, ...more } = await this.#send(says);
    const before = this.#rhythm.state;
    const wait = this.#rhythm.answered(Date.now(), status, seconds);
    this.#share();
    this.#arm();
    this.#given.tell("ping", { status, ...says, ...more });
    if (wait) this.#given.tell("wait", { status, seconds: wait / 1000 });
    if (this.#rhythm.state !== before) this.#turn(this.#rhythm.state === "expired" ? "expired" : "resume");
    return status;
  }

  async #send(says) {
    const { ping: address, frame, token, credentials, storage } = this.#options;
    if (!frame) return ask(saying(address, says, token), { method: "HEAD", credentials });
    this.#frame ??= this.#load();
    try {
      return await (await this.#frame).ping(saying(frame, says, token), storage);
    } catch {
      this.#frame = undefined; // it could not be loaded
      return NONE;
    }
  }

  #load() {
    const { own, nonce } = this.#given;
    return new Promise((ready, onerror) => {
      const script = document.createElement("script");
      document.head.append(Object.assign(script, { ready, onerror, nonce, src: new URL("?f=@FRAME@", own) }));
    });
  }

  // --- what happens ---

  #listen() {
    this.#page = new AbortController();
    const { signal } = this.#page;
    const wake = () => this.#wake();
    document.addEventListener("visibilitychange", wake, { signal });
    document.addEventListener("resume", wake, { signal }); // after a freeze
    window.addEventListener("focus", wake, { signal }); // after sleep, perhaps
    window.addEventListener("online", () => {
      this.#rhythm.reachable(Date.now());
      this.#wake();
    }, { signal });
    // What is open could keep the page out of the back/forward cache, and in there nobody beats.
    window.addEventListener("pagehide", () => this.#close(), { signal });
    window.addEventListener("pageshow", ({ persisted }) => persisted && (this.#open(), this.#wake()), { signal });
  }

  #open() {
    const { ping: address, frame, token, worker } = this.#options;
    const { signal } = this.#page;
    this.#tabs.open(identity(frame || address, token), (facts) => this.#hear(facts));
    this.#tabs.tell({ ...this.#rhythm.facts(), hello: true });
    this.#arm();
    // In a task of its own, for a Worker takes long to make.
    if (worker !== "off") setTimeout(() => signal.aborted || this.#alarm.start(this.#given.own));
  }

  #close() {
    this.#at = undefined;
    this.#alarm.stop();
    this.#tabs.close();
  }

  #wake() {
    this.#online.wake();
    this.#ring();
  }

  #ring() {
    this.#at = undefined;
    this.#look();
    const due = this.#due();
    if (!due) {
      this.#arm();
    } else if (due.ping) {
      this.#beat();
    } else {
      this.#rhythm.state = "timeout";
      this.#turn("timeout");
    }
  }

  #due() {
    const now = Date.now();
    const next = this.#rhythm.next(now);
    return next?.at <= now ? next : undefined;
  }

  // To be alone may take a moment, in which the alarm can ring again, or another tab say that it has pinged.
  async #beat() {
    if (this.#busy) return;
    this.#busy = true;
    const sent = await this.#tabs.alone(() => (this.#due()?.ping ? this.ping() : false));
    this.#busy = false;
    if (sent === false) this.#rhythm.yield(Date.now());
    this.#arm();
  }

  // A video plays without a sign of its own: it is looked for at each ping, of whichever tab.
  #look() {
    this.#rhythm.clock(Date.now());
    if (this.#activity.playing()) this.#human(Date.now());
  }

  #human(now) {
    this.#rhythm.clock(now);
    const resumed = this.#rhythm.human(now);
    if (resumed || now - this.#shared > this.#given.settings.interval / 10) {
      this.#shared = now;
      this.#share();
    }
    if (resumed) this.#turn("resume");
    this.#arm();
  }

  // Another tab says something.
  #hear(facts) {
    const news = this.#rhythm.merge(facts, Date.now());
    if (facts.hello) this.#share();
    if (news) this.#turn(news);
    this.#look();
    this.#arm();
  }

  // --- what is done about it ---

  #turn(event) {
    if (event === "resume") this.#online.start(this.#options);
    else this.#rest();
    this.#given.tell(event);
  }

  #rest() {
    this.#online.stop();
    this.#frame?.then((frame) => frame.stop(), () => {});
  }

  #share() {
    this.#tabs.tell(this.#rhythm.facts());
  }

  #arm() {
    const at = this.#rhythm.next()?.at;
    if (at === undefined || at === this.#at) return;
    this.#at = at;
    this.#alarm.set(Math.min(at - Date.now(), this.#given.settings.interval)); // the clock may be set back meanwhile
  }
}
