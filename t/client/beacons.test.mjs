// When what a page has to say is sent, and by which way, in a browser that the test turns by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { gunzipSync } from "node:zlib";
import { createBeacons } from "../../shared/client/beacons.js";
import { page, START } from "./window.mjs";

const ORDER = ["fetchLater", "beacon", "fetch", "image"];
const OPTIONS = { beacon: new URL("https://a.example/hb/beacon") };
const KEY = "heartbeat https://a.example/hb/beacon";

/** A page in its browser with the client begun, and loaded. */
async function begun({ order = ORDER, most = 65536, options = OPTIONS, load = true, listens = () => {}, ...browser } = {}) {
  const it = page(browser);
  listens(it);
  it.told = [];
  it.client = createBeacons({ view: "VIEW", order, most }, (name, detail) => it.told.push([name, detail]));
  it.record = (...items) => items.forEach((item) => it.client.record(JSON.stringify(item)));
  it.client.start(options);
  if (load) await loaded(it);
  return it;
}
async function loaded(it) {
  await it.fire("load");
  await it.pass(0);
}
const brief = (list) => list.map(({ n, e, f, text }) => `${n} ${e}${f ? " final" : ""} ${text}`);
const parked = (it) => JSON.parse(it.storage?.[KEY] ?? globalThis.localStorage[KEY] ?? "[]");

test("the page says that it has loaded, with a batch that may be empty", async () => {
  const it = await begun({ load: false });
  await it.pass(5000);
  assert.deepEqual(it.by("fetch"), []);
  await loaded(it);
  const [{ way, to, v, n, e, x, text, how }] = it.by("fetch");
  assert.deepEqual([way, to, v, n, e, x, text], ["fetch", "https://a.example/hb/beacon", "VIEW", 0, "load", "fetch", "[]"]);
  assert.equal(how.method, "POST");
  assert.equal(how.keepalive, true);
  assert.equal(how.headers, undefined, "of the browser's own type, which needs no preflight");
  assert.equal(how.referrerPolicy, "no-referrer");
});

test("also one that had loaded before", async () => {
  const it = await begun({ ready: "complete", load: false });
  await it.pass(0);
  assert.deepEqual(brief(it.by("fetch")), ["0 load []"]);
});

test("what is recorded before goes with it", async () => {
  const it = page({});
  it.told = [];
  const client = createBeacons({ view: "V", order: ORDER, most: 65536 }, () => {});
  client.record("1");
  await it.pass(5000);
  assert.deepEqual(it.sent, [], "nothing before it begins");
  client.start(OPTIONS);
  client.record("2");
  await loaded(it);
  assert.deepEqual(brief(it.by("fetch")), ["0 load [1,2]"]);
});

test("also when that is more than a batch", async () => {
  const it = page({});
  const client = createBeacons({ view: "V", order: ORDER, most: 65536 }, () => {});
  for (let i = 0; i < 12; ++i) client.record(JSON.stringify("x".repeat(1000)));
  assert.deepEqual(it.sent, [], "nothing is sent or armed before it begins");
  client.start(OPTIONS);
  await loaded(it);
  assert.equal(it.by("fetch").length, 3);
});

test("but a page that takes long to load does not keep it back", async () => {
  const it = await begun({ load: false });
  it.record(1);
  await it.pass(1000);
  await loaded(it);
  assert.deepEqual(brief(it.by("fetch")), ["0 more [1]", "1 load []"]);
});

test("items wait a second for others", async () => {
  const it = await begun();
  it.record(1);
  await it.pass(600);
  it.record(2);
  await it.pass(399);
  assert.equal(it.by("fetch").length, 1);
  await it.pass(1);
  assert.deepEqual(brief(it.by("fetch").slice(1)), ["1 more [1,2]"]);
  await it.pass(9000);
  assert.equal(it.by("fetch").length, 2, "and nothing is sent where nothing is recorded");
});

test("many items wait no longer than for a batch", async () => {
  const it = await begun();
  for (let i = 0; i < 12; ++i) it.record("x".repeat(1000));
  assert.deepEqual(it.by("fetch").slice(1).map(({ n, text }) => [n, JSON.parse(text).length]), [[1, 5], [2, 5]]);
});

test("a batch keeps to what the server takes", async () => {
  const it = await begun({ most: 100 });
  it.record("x".repeat(250));
  await it.pass(0);
  await it.pass(0);
  assert.deepEqual(it.by("fetch").slice(1).map(({ text, c }) => [text.length, c]), [[100, "1"], [100, "1"], [54, undefined]]);
});

test("two are on their way at the most; what comes then waits in one batch", async () => {
  let release;
  const it = await begun();
  const held = new Promise((done) => { release = done; });
  it.answer = () => held;
  for (let i = 1; i <= 5; ++i) {
    it.record(i);
    await it.pass(1000);
  }
  assert.deepEqual(brief(it.by("fetch").slice(1)), ["1 more [1]", "2 more [2]"]);
  it.answer = () => ({ status: 204 });
  release({ status: 204 });
  await it.pass(0);
  assert.deepEqual(brief(it.by("fetch").slice(3)), ["3 more [3,4,5]"]);
});

test("large ones are compressed", async () => {
  const it = await begun();
  globalThis.CompressionStream = (await import("node:stream/web")).CompressionStream;
  it.record("x".repeat(900));
  await it.pass(1000);
  assert.equal(it.by("fetch")[1].z, undefined);
  it.record("x".repeat(3000));
  await it.pass(1000);
  for (let i = 0; i < 1000 && it.by("fetch").length < 3; ++i) await delay(10); // another thread compresses, in its own time
  const { z, how } = it.by("fetch")[2];
  assert.equal(z, "1");
  assert.ok(how.body.size < 100);
  assert.equal(gunzipSync(Buffer.from(await how.body.arrayBuffer())).toString(), `["${"x".repeat(3000)}"]`);
  assert.equal(how.headers, undefined);
  assert.equal(how.body.type, "", "no type either, or the browser would ask first");
});

for (const [what, answer] of [["no answer", { status: 0 }], ["503", { status: 503 }], ["429", { status: 429 }]]) {
  test(`${what}: it is sent again with the same number, and less and less often`, async () => {
    const it = await begun();
    it.answer = () => answer;
    it.record(1);
    await it.pass(1000);
    it.record(2);
    const at = [];
    for (let second = 0; second < 20; ++second) {
      const before = it.by("fetch").length;
      await it.pass(1000);
      if (it.by("fetch").length > before) at.push(second);
    }
    assert.ok(it.by("fetch").slice(1).every(({ n, text }) => n === 1 && text === "[1]"), "nothing else is tried meanwhile");
    assert.equal(at.length, 4);
    it.answer = () => ({ status: 204 });
    await it.pass(40_000);
    assert.deepEqual(brief(it.by("fetch").slice(-2)), ["1 more [1]", "2 more [2]"]);
    assert.deepEqual(it.told, []);
  });
}

test("Retry-After is waited for", async () => {
  const it = await begun();
  it.answer = () => ({ status: 503, seconds: 30 });
  it.record(1);
  await it.pass(1000);
  it.answer = () => ({ status: 204 });
  await it.pass(29_000);
  assert.equal(it.by("fetch").length, 2);
  await it.pass(5000);
  assert.deepEqual(brief(it.by("fetch").slice(2)), ["1 more [1]"]);
});

test("the network is back: at once", async () => {
  const it = await begun();
  it.answer = () => ({ status: 0 });
  it.record(1);
  await it.pass(1000);
  it.answer = () => ({ status: 204 });
  await it.fire("online");
  assert.deepEqual(brief(it.by("fetch").slice(2)), ["1 more [1]"]);
});

for (const status of [403, 400, 404, 413]) {
  test(`${status}: it is over, and says so`, async () => {
    const it = await begun();
    it.answer = () => ({ status });
    it.record(1);
    await it.pass(1000);
    assert.deepEqual(it.told, [["refused", { status }]]);
    it.record(2);
    await it.pass(5000);
    await it.show(false);
    await it.fire("pagehide");
    await it.fire("pageshow", { persisted: true });
    assert.equal(it.by("fetch").length, 2);
    assert.deepEqual(it.by("beacon"), []);
    assert.deepEqual(it.armed(), []);
    assert.deepEqual(it.told[1], ["dropped", { json: "2" }]);
  });
}

test("two refusals are said once", async () => {
  let release;
  const held = new Promise((done) => { release = done; });
  const it = await begun();
  it.answer = () => held;
  for (let i = 0; i < 12; ++i) it.record("x".repeat(1000));
  release({ status: 403 });
  await it.pass(0);
  assert.deepEqual(it.told, [["refused", { status: 403 }]]);
});

test("what is no JSON is dropped, with an event", async () => {
  const it = await begun();
  it.client.record(undefined);
  assert.deepEqual(it.told, [["dropped", { json: undefined }]]);
});

test("hidden: all that is not acknowledged, by a beacon, and that it is the end", async () => {
  const it = await begun({ answer: ({ n }) => (n === 1 ? undefined : { status: 204 }) });
  it.record(1);
  await it.pass(1000);
  it.record(2);
  await it.show(false);
  assert.deepEqual(brief(it.by("beacon")), ["1 hidden [1]", "2 hidden final [2]"], "and that it goes: no sign of life");
  assert.ok(it.by("beacon").every(({ x }) => x === "beacon"));
});

test("but that it has loaded stays said", async () => {
  const it = await begun({ answer: () => undefined });
  await it.show(false);
  assert.deepEqual(brief(it.by("beacon")), ["0 load []", "1 hidden final []"]);
});

test("with nothing to say, that it is the end", async () => {
  const it = await begun();
  await it.show(false);
  assert.deepEqual(brief(it.by("beacon")), ["1 hidden final []"]);
});

test("then pagehide says nothing again", async () => {
  const it = await begun();
  await it.show(false);
  await it.fire("pagehide");
  await it.show(false);
  assert.equal(it.by("beacon").length, 1);
});

test("pagehide alone: leave", async () => {
  const it = await begun();
  it.record(1);
  await it.fire("pagehide");
  await it.show(false);
  assert.deepEqual(brief(it.by("beacon")), ["1 leave final [1]"]);
  assert.equal(it.by("fetch").length, 1, "and nothing by fetch, which would keep it out of the back/forward cache");
});

test("what the page records even later is said, too", async () => {
  const it = await begun();
  await it.fire("pagehide");
  it.record(1);
  assert.deepEqual(brief(it.by("beacon")), ["1 leave final []", "2 leave final [1]"]);
});

test("a page that is left before it has loaded", async () => {
  const it = await begun({ load: false });
  it.record(1);
  await it.show(false);
  assert.deepEqual(brief(it.by("beacon")), ["0 hidden final [1]"]);
  await loaded(it);
  assert.ok(brief(it.by("fetch")).includes("1 load []"));
});

test("hidden, and it goes on: each batch is the end as far as it knows", async () => {
  const it = await begun();
  await it.show(false);
  it.record(1);
  await it.pass(1000);
  assert.deepEqual(brief(it.by("fetch").slice(1)), ["2 hidden final [1]"]);
  await it.fire("pagehide");
  assert.equal(it.by("beacon").length, 1);
});

test("back again: what had no answer is sent for one, and the numbers go on", async () => {
  const it = await begun();
  it.record(1);
  await it.show(false);
  await it.pass(60_000);
  assert.equal(it.by("fetch").length, 1);
  await it.show(true);
  assert.deepEqual(brief(it.by("fetch").slice(1)), ["1 hidden final [1]"]);
  await it.show(false);
  assert.equal(it.by("beacon").length, 1, "nothing new to say");
  await it.show(true);
  it.record(2);
  await it.pass(1000);
  assert.deepEqual(brief(it.by("fetch").slice(2)), ["2 more [2]"]);
  await it.show(false);
  assert.deepEqual(brief(it.by("beacon").slice(1)), ["3 hidden final []"]);
});

test("out of the back/forward cache: it says that it goes on", async () => {
  const it = await begun();
  await it.fire("pagehide");
  await it.fire("pageshow", { persisted: false });
  assert.equal(it.by("fetch").length, 1);
  await it.fire("pageshow", { persisted: true });
  assert.deepEqual(brief(it.by("fetch").slice(1)), ["1 leave final []", "2 resume []"]);
});

// --- the ways ---

test("the order is the server's", async () => {
  const ways = async (order, more = {}) => {
    const it = await begun({ order, ...more });
    it.record(1);
    it.taken = !more.refuses;
    await it.show(false);
    return it.sent.filter(({ n, way }) => n === 1 && way !== "fetchLater").map(({ way, x }) => `${way} ${x}`);
  };
  assert.deepEqual(await ways(["image", "beacon"]), ["image image"]);
  assert.deepEqual(await ways(["fetch", "beacon"]), ["fetch fetch"]);
  assert.deepEqual(await ways(["beacon", "fetch"]), ["beacon beacon"]);
  assert.deepEqual(await ways(["beacon", "fetch"], { has: [] }), ["fetch fetch"], "a browser that has no beacon");
  assert.deepEqual(await ways(["beacon", "image"], { refuses: true }), ["image image"], "one that refuses it");
  assert.deepEqual(await ways(["unknown", "image"]), ["image image"]);
});

test("an image whose address would be too long is none", async () => {
  const token = "x".repeat(1000);
  const it = await begun({ order: ["image", "beacon"], load: false, options: { ...OPTIONS, token } });
  it.record("x".repeat(5400), "x".repeat(3000));
  await it.fire("pagehide");
  assert.deepEqual([...it.by("beacon"), ...it.by("image")].map(({ n, way }) => `${n} ${way}`), ["0 beacon", "1 image"]);
});

test("any batch fits into an address", async () => {
  const it = await begun({ order: ["image"], load: false });
  it.record("é".repeat(5000));
  for (let i = 0; i < 6; ++i) it.record("~?>".repeat(600));
  await it.fire("pagehide");
  const images = it.by("image");
  assert.ok(images.length >= 7 && images.every(({ text }) => text.length <= 5500 && Buffer.from(text).toString("base64url").length < 7700));
  assert.deepEqual(images.map(({ n }) => n), images.map((_, i) => i));
});

test("by fetch no more than browsers take of a page that goes; the rest by another way", async () => {
  const it = await begun({ order: ["fetch", "image"], load: false });
  it.answer = () => undefined;
  for (let i = 0; i < 60; ++i) it.record("x".repeat(1000));
  await it.fire("pagehide");
  const bytes = it.by("fetch").reduce((sum, { text }) => sum + text.length + 300, 0);
  assert.ok(bytes < 65_536 && bytes > 40_000, `${bytes}`);
  const numbers = [...it.by("fetch"), ...it.by("image")].map(({ n }) => n);
  assert.deepEqual([...new Set(numbers)].sort((a, b) => a - b), Array.from({ length: 12 }, (_, n) => n));
});

test("a fetch of leaving that fails is tried again while the page is there", async () => {
  const it = await begun({ order: ["fetch"] });
  it.record(1);
  it.answer = () => ({ status: 0 });
  await it.show(false);
  it.answer = () => ({ status: 204 });
  await it.pass(1200);
  assert.deepEqual(brief(it.by("fetch").slice(1)), ["1 hidden final [1]", "1 hidden final [1]"]);
  await it.show(true);
  assert.equal(it.by("fetch").length, 3, "and acknowledged");
});

// --- what is armed ---

test("fetchLater is armed with what would have to be said", async () => {
  const it = await begun({ load: false });
  assert.deepEqual(brief(it.armed()), ["0 leave final []"]);
  assert.ok(it.armed().every(({ x, how }) => x === "fetchLater" && how.method === "POST" && how.referrerPolicy === "no-referrer"));
  await loaded(it);
  assert.deepEqual(brief(it.armed()), ["1 leave final []"]);
  it.record(1);
  await it.pass(0);
  assert.deepEqual(brief(it.armed()), ["1 leave final [1]"], "at once");
});

test("it is renewed when more is recorded, once for all that is recorded in one go", async () => {
  const it = await begun();
  const before = it.by("fetchLater").length;
  it.record(1, 2, 3);
  await it.pass(0);
  assert.equal(it.by("fetchLater").length - before, 1);
  assert.deepEqual(brief(it.armed()), ["1 leave final [1,2,3]"]);
});

test("what is armed and stays the same is not touched: a browser that is closing may lose what is armed anew", async () => {
  const it = await begun({ answer: () => undefined });
  it.record(1);
  await it.pass(1000);
  it.record(2);
  await it.pass(0);
  const armed = it.armed();
  await it.show(false);
  await it.fire("pagehide");
  assert.deepEqual(it.armed(), armed);
});

test("also when the page itself records something as it is hidden", async () => {
  const listens = (it) => ["visibilitychange", "pagehide"].forEach((name) => addEventListener(name, () => it.record(name)));
  const it = await begun({ listens });
  it.record(1);
  await it.pass(0);
  const [armed] = it.armed();
  await it.show(false);
  await it.fire("pagehide");
  assert.ok(!armed.aborted);
  assert.deepEqual(brief(it.by("beacon")), ["1 hidden final [1]", '2 hidden final ["visibilitychange"]', '3 leave final ["pagehide"]']);
});

test("a browser is closed: pagehide comes first, and to the page before the client", async () => {
  const listens = (it) => ["visibilitychange", "pagehide"].forEach((name) => addEventListener(name, () => it.record(name, 0)));
  const it = await begun({ listens });
  it.record(1);
  await it.pass(0);
  const [armed] = it.armed();
  await it.fire("pagehide");
  await it.show(false);
  assert.ok(!armed.aborted);
  const said = ["1 leave final [1]", '2 leave final ["pagehide",0]'];
  assert.deepEqual(brief(it.by("beacon")).slice(0, 2), said, "whatever it records there is one batch");
  assert.deepEqual(parked(it).map(([, text]) => text), ["[1]", '["pagehide",0]', '["visibilitychange"]', "[0]"]);
});

test("what is said when the page goes is parked before, for it may not come so far", async () => {
  const it = await begun();
  const kept = []; // what was parked as each was sent
  const { sendBeacon } = navigator;
  navigator.sendBeacon = (...sent) => {
    kept.push(parked(it).map(([, text]) => text));
    return sendBeacon(...sent);
  };
  it.record(1);
  await it.fire("pagehide");
  it.record(2);
  assert.deepEqual(kept, [["[1]"], ["[1]", "[2]"]]);
});

test("the second time, too, what a page records in pagehide leaves alone what is armed", async () => {
  const listens = (it) => addEventListener("pagehide", () => it.record("pagehide"));
  const it = await begun({ listens });
  await it.fire("pagehide", { persisted: true });
  await it.fire("pageshow", { persisted: true });
  await it.pass(100);
  const armed = it.armed();
  await it.fire("pagehide");
  assert.ok(armed.length > 0 && armed.every(({ aborted }) => !aborted), JSON.stringify(armed));
});

test("what a page records in pagehide before it has begun goes nowhere", async () => {
  const it = page({});
  const client = createBeacons({ view: "V", order: ORDER, most: 65536 }, () => {});
  addEventListener("pagehide", () => client.record("1"));
  await it.fire("pagehide");
  assert.deepEqual([it.sent, it.storage ?? {}, Object.keys(globalThis.localStorage)], [[], {}, []]);
});

test("what is on its way stays armed until it is acknowledged", async () => {
  let release;
  const held = new Promise((done) => { release = done; });
  const it = await begun();
  it.answer = () => held;
  it.record(1);
  await it.pass(1000);
  assert.deepEqual(brief(it.armed()), ["1 leave final [1]", "2 leave final []"]);
  release({ status: 204 });
  await it.pass(200);
  assert.deepEqual(brief(it.armed()), ["2 leave final []"]);
});

test("a number holds one thing only, also among what is armed", async () => {
  const it = await begun({ answer: () => undefined, load: false });
  const armedAs = [];
  for (let i = 0; i < 40; ++i) {
    it.record("x".repeat(i * 50));
    for (const { n, text } of it.sent.filter(({ way }) => way !== "fetchLater")) armedAs[n] ??= text;
    for (const { n, text } of it.armed()) assert.ok(armedAs[n] === undefined || armedAs[n] === text, `number ${n}`);
    assert.equal(new Set(it.armed().map(({ n }) => n)).size, it.armed().length, "once each");
    if (i === 20) await loaded(it);
    await it.pass(70);
  }
});

test("hidden: what was said stays armed, for the browser may be closing", async () => {
  const it = await begun();
  it.record(1);
  await it.pass(0);
  await it.show(false);
  assert.deepEqual(brief(it.armed()), ["1 leave final [1]"]);
  assert.deepEqual(brief(it.by("beacon")), ["1 hidden final [1]"]);
});

test("hidden: what was recorded in that moment is sent before it is armed", async () => {
  const it = await begun();
  it.record(1);
  await it.show(false);
  assert.deepEqual(it.sent.filter(({ text }) => text === "[1]").map(({ way }) => way), ["beacon", "fetchLater"]);
});

test("a browser whose fetches end with their page leaves by another way", async () => {
  const keepalive = Object.getOwnPropertyDescriptor(Request.prototype, "keepalive");
  delete Request.prototype.keepalive;
  const { transports } = await import("../../shared/client/transports.js?without-keepalive");
  Object.defineProperty(Request.prototype, "keepalive", keepalive);
  assert.equal(transports.fetch, undefined);
});

test("no more than fetchLater takes", async () => {
  const it = await begun({ load: false });
  it.answer = () => undefined;
  for (let i = 0; i < 80; ++i) it.record("x".repeat(1000));
  await it.pass(1000);
  assert.equal(it.armed().length, 8);
  assert.ok(it.armed().some(({ text }) => text !== "[]"));
  await it.fire("pagehide");
  assert.equal(new Set(it.by("beacon").map(({ n }) => n)).size, 16);
});

test("fetchLater alone: what is hidden is sent as it was before, and nothing is parked", async () => {
  const it = await begun({ order: ["fetchLater"] });
  it.record(1);
  await it.show(false);
  assert.deepEqual(brief(it.by("fetch").slice(1)), ["1 hidden final [1]"]);
  await it.fire("pagehide");
  assert.deepEqual(parked(it), []);
});

test("it is not armed where the server does not name it", async () => {
  const it = await begun({ order: ["beacon"] });
  it.record(1);
  await it.pass(2000);
  await it.show(false);
  assert.deepEqual(it.by("fetchLater"), []);
});

// --- what is parked ---

test("what nothing takes is kept for the next page, which sends it once it has loaded", async () => {
  const storage = {};
  const it = await begun({ order: ["beacon"], has: [], storage });
  it.record(1);
  await it.fire("pagehide");
  assert.equal(JSON.parse(storage[KEY]).length, 1);
  const next = await begun({ order: ["beacon"], storage, load: false });
  assert.deepEqual(next.sent, []);
  await loaded(next);
  assert.deepEqual(brief(next.by("fetch")), ["0 load []", "1 leave final [1]"]);
  assert.equal(next.by("fetch")[1].v, "VIEW");
  assert.deepEqual(JSON.parse(storage[KEY]), []);
});

test("so is what is said while the server is away, or the network; once, however often", async () => {
  for (const lost of [(it) => { it.answer = () => ({ status: 503 }); }, () => { navigator.onLine = false; }]) {
    const storage = {};
    const it = await begun({ storage });
    lost(it);
    it.record(1);
    await it.pass(1000);
    it.record(2);
    await it.show(false);
    await it.show(true);
    await it.show(false);
    await it.fire("pagehide");
    assert.deepEqual(JSON.parse(storage[KEY]).map(([url, text]) => [new URL(url).searchParams.get("n"), text]), [["1", "[1]"], ["2", "[2]"]]);
  }
});

test("so is what the browser took, for it may be closing: the next page says it again, but not one that follows a link", async () => {
  for (const [more, again] of [[{}, 1], [{ referrer: "https://page.example/" }, 0], [{ referrer: "https://other.example/" }, 1],
    [{ referrer: "https://page.example/", navigation: "back_forward" }, 1]]) {
    const storage = {};
    const it = await begun({ storage });
    it.record(1);
    await it.fire("pagehide");
    assert.deepEqual(brief(it.by("beacon")), ["1 leave final [1]"]);
    const next = await begun({ storage, ...more });
    await next.pass(0);
    assert.deepEqual(brief(next.by("fetch")).slice(1), Array(again).fill("1 leave final [1]"), JSON.stringify(more));
    assert.ok(next.by("fetch").slice(1).every(({ how }) => how.credentials === "omit"), "whoever is here now");
    assert.deepEqual(parked(next), []);
  }
});

test("nor is a beacon sure that a browser without a network took, though the next page followed a link", async () => {
  const storage = {};
  const it = await begun({ storage });
  navigator.onLine = false;
  it.record(1);
  await it.fire("pagehide");
  const next = await begun({ storage, referrer: "https://page.example/" });
  await next.pass(0);
  assert.deepEqual(brief(next.by("fetch")).slice(1), ["1 leave final [1]"]);
});

test("what was not taken a page that follows a link says, too", async () => {
  const storage = {};
  const it = await begun({ storage });
  it.answer = () => ({ status: 503 });
  it.record(1);
  await it.pass(1000);
  await it.fire("pagehide");
  const next = await begun({ storage, referrer: "https://page.example/" });
  await next.pass(0);
  assert.deepEqual(brief(next.by("fetch")).slice(1), ["1 leave [1]", "2 leave final []"]);
});

test("nor took it what no way could send", async () => {
  const storage = {};
  const it = await begun({ order: ["beacon"], has: [], storage });
  it.record(1);
  await it.fire("pagehide");
  const next = await begun({ storage, referrer: "https://page.example/" });
  await next.pass(0);
  assert.deepEqual(brief(next.by("fetch")).slice(1), ["1 leave final [1]"]);
});

test("what has its answer is parked no more", async () => {
  const it = await begun({ order: ["fetch"] });
  it.record(1);
  await it.show(false);
  assert.deepEqual(parked(it), []);
});

test("also where nobody has noticed yet that there is no network", async () => {
  const storage = {};
  const it = await begun({ storage });
  navigator.onLine = false;
  it.record(1);
  await it.fire("pagehide");
  assert.deepEqual(JSON.parse(storage[KEY]).map(([, text]) => text), ["[1]"]);
});

test("what cannot be sent yet stays there, what the server refuses does not", async () => {
  const entry = (n) => [`${OPTIONS.beacon}?v=OLD&n=${n}`, `[${n}]`, true];
  const storage = { [KEY]: JSON.stringify([entry(1), entry(2), entry(3), entry(4)]) };
  const it = await begun({ storage, answer: ({ v, n }) => ({ status: v === "VIEW" ? 204 : { 1: 403, 2: 429, 3: 503 }[n] }) });
  await it.pass(0);
  assert.deepEqual(JSON.parse(storage[KEY]).map(([, text]) => text), ["[2]", "[3]", "[4]"], "what is too much of one view holds up no other");
  assert.deepEqual(it.told, [], "and is not this page's affair");
});

test("there is an end to it", async () => {
  const storage = {};
  const it = await begun({ order: ["beacon"], has: [], storage, load: false });
  it.answer = () => ({ status: 0 });
  for (let i = 0; i < 400; ++i) it.record("x".repeat(1000));
  await it.fire("pagehide");
  assert.ok(storage[KEY].length < 300_000);
});

test("storage that is forbidden, or holds something else, does no harm", async () => {
  const storage = new Proxy({}, { get() { throw new DOMException("", "SecurityError"); }, set() { throw new DOMException("", "QuotaExceededError"); } });
  const it = await begun({ order: ["beacon"], has: [], storage });
  it.record(1);
  await it.fire("pagehide");
  for (const something of ["{", "null"]) {
    const other = await begun({ storage: { [KEY]: something } });
    assert.equal(other.by("fetch").length, 1);
    await other.fire("pagehide");
    assert.notEqual(parked(other).length, 0);
  }
});

test("a token says whose session it is, also a new one", async () => {
  const it = await begun({ options: { ...OPTIONS, token: "a.b.c", credentials: "include" } });
  assert.equal(it.by("fetch")[0].t, "a.b.c");
  assert.equal(it.by("fetch")[0].how.credentials, "include");
  it.client.start({ ...OPTIONS, token: "d.e.f" });
  await it.show(false);
  assert.equal(it.by("beacon")[0].t, "d.e.f");
  await it.fire("pageshow", { persisted: true });
  assert.equal(it.by("fetch").filter(({ e }) => e === "resume").length, 1, "it has begun only once");
});

test("an address may have a query of its own", async () => {
  const it = await begun({ options: { beacon: new URL("https://a.example/api?what=beacon") } });
  assert.equal(it.by("fetch")[0].what, "beacon");
});
