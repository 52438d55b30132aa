// The client of one page: its parts, and what they have to do with each other.
import { createActivity } from "./activity.js";
import { createAlarm } from "./alarm.js";
import { createBeacons } from "./beacons.js";
import { createFrame } from "./frame.js";
import { createOnline } from "./online.js";
import { ask, saying } from "./ping.js";
import { createRhythm } from "./rhythm.js";
import { createTabs, identity } from "./tabs.js";

/** `own`: the address of the client; `tell` fires an event. */
export function createHeartbeat(settings, own, tell) {
  const options = { ping: new URL("ping", own), list: new URL("online", own), beacon: new URL("beacon", own) };
  const rhythm = createRhythm(settings);
  const activity = createActivity(human);
  const alarm = createAlarm(ring);
  const tabs = createTabs();
  const online = createOnline(tell);
  let beacons = settings.view && createBeacons(settings, tell); // none where the server keeps none
  let frame; // once it is needed
  let page; // ends what listens to the page
  let armed; // what the alarm is set to
  let busy; // a ping is due and not sent yet, or not answered
  let shared = 0; // when the other tabs were last told of a human

  /** Takes options, named as the attributes of the tag; those that are not given stay as they were. */
  function configure(given) {
    Object.assign(options, given);
    for (const name of ["ping", "list", "frame", "beacon"]) {
      if (options[name] && options[name] !== "off") options[name] = new URL(options[name], document.baseURI);
    }
  }

  /** An item, as JSON, that the page wants the server to have. */
  function record(json) {
    beacons?.record(json);
  }

  /** From now on what is recorded is sent. */
  function speak() {
    if (options.beacon.href) beacons?.start(options);
    else beacons = undefined; // "off"
  }

  function start(given) {
    stop();
    configure(given);
    speak();
    rhythm.start(Date.now());
    listen();
    open();
    online.start(options);
  }

  function stop() {
    rhythm.known.state = "stopped";
    page?.abort();
    rest();
    close();
  }

  /** Pings now, whatever the rhythm says. Resolves to the status, 0 if there was no answer. */
  async function ping() {
    const says = rhythm.pinging(Date.now());
    share();
    arm();
    const run = page;
    const { status, seconds, state } = await send(says); // the state only of a frame
    if (run !== page) return status; // it was started again, perhaps with another token
    const before = rhythm.known.state;
    const wait = rhythm.answered(Date.now(), status, seconds);
    share();
    arm();
    tell("ping", { status, ...says, state });
    if (wait) tell("wait", { status, seconds: wait / 1000 });
    turn(rhythm.became(before));
    return status;
  }

  function send(says) {
    const { token, credentials, storage } = options;
    if (!options.frame) return ask(saying(options.ping, says, token), { method: "HEAD", credentials });
    frame ??= createFrame();
    return frame.ping(saying(options.frame, says, token), storage);
  }

  // --- what happens ---

  function listen() {
    page = new AbortController();
    const { signal } = page;
    const on = (name, hear) => addEventListener(name, hear, { signal });
    activity.start(options.playing, signal);
    on("visibilitychange", wake);
    on("focus", wake); // after sleep, perhaps
    on("online", () => {
      rhythm.reachable(Date.now());
      wake();
    });
    // What is open could keep the page out of the back/forward cache, and in there nobody beats.
    on("pagehide", close);
    on("pageshow", ({ persisted }) => persisted && (open(), wake()));
  }

  function open() {
    const { signal } = page;
    tabs.open(identity(options.frame || options.ping, options.token), hear);
    tabs.tell({ ...rhythm.facts(), hello: true });
    arm();
    // In a task of its own, for a Worker takes long to make.
    if (options.worker !== "off") setTimeout(() => signal.aborted || alarm.start(own));
  }

  function close() {
    armed = undefined;
    alarm.stop();
    tabs.close();
  }

  function wake() {
    online.wake();
    ring();
  }

  function ring() {
    armed = undefined;
    look();
    const next = due();
    if (!next) {
      arm();
    } else if (next.ping) {
      beat();
    } else {
      rhythm.known.state = "timeout";
      turn("timeout");
    }
  }

  function due() {
    const now = Date.now();
    const next = rhythm.next(now);
    return next?.at <= now ? next : undefined;
  }

  // To be alone may take a moment, in which the alarm can ring again, or another tab say that it has pinged.
  async function beat() {
    if (busy) return;
    busy = true;
    const sent = await tabs.alone(() => (due()?.ping ? ping() : false));
    busy = false;
    if (sent === false) rhythm.yieldTo(Date.now());
    arm();
  }

  // A video plays without a sign of its own: it is looked for at each ping, of whichever tab.
  function look() {
    rhythm.clock(Date.now());
    if (activity.playing()) human(Date.now());
  }

  function human(now) {
    rhythm.clock(now);
    const resumed = rhythm.human(now);
    if (resumed || now - shared > settings.interval / 10) {
      shared = now;
      share();
    }
    turn(resumed && "resume");
    arm();
  }

  // Another tab says something.
  function hear(facts) {
    const news = rhythm.merge(facts, Date.now());
    if (facts.hello) share();
    turn(news);
    look();
    arm();
  }

  // --- what is done about it ---

  function turn(event) {
    if (!event) return;
    if (event === "resume") online.start(options);
    else rest();
    tell(event);
  }

  function rest() {
    online.stop();
    frame?.stop();
  }

  function share() {
    tabs.tell(rhythm.facts());
  }

  function arm() {
    const at = rhythm.next()?.at;
    if (at === undefined || (at === armed && at > Date.now())) return; // timers stand still while the machine sleeps
    armed = at;
    alarm.set(Math.min(at - Date.now(), settings.interval)); // the clock may be set back meanwhile
  }

  return { configure, record, speak, start, stop, ping };
}
