// Frames of https://login.test in pages of http://shop.test, https://shop.test and http://login.test.
import { busy, call, connections, eventually, gaps, given, heard, hide, is, measured, ok, open, permissive, run, sleep, test, visitor, within } from "./browser.mjs";

const { shop, safe, login, http_login: same } = given;
const loads = async (name, since = 0) => (await call("requests")).filter(({ path, time }) => path === `/in/${name}` && time >= since);
const states = async (page) => (await heard(page, "ping")).map(({ detail }) => detail.state ?? detail.status);
const frames = (page) => page.evaluate(() => [...document.querySelectorAll("iframe")].map((frame) => {
  const { scrollWidth, scrollHeight } = document.scrollingElement;
  frame.focus();
  return [frame.title, getComputedStyle(frame).visibility, document.activeElement === frame ? "focused" : "no focus",
    scrollWidth > innerWidth || scrollHeight > innerHeight ? "scrolls" : "no room"].join(", ");
}));
const alive = async (page) => eventually(async () => (await states(page)).includes("alive"));
const HIDDEN = "Keep-alive, hidden, no focus, no room";

test("by token, from an http page", async () => {
  const context = await visitor();
  const page = await open(context, "/token.html", [], shop);
  ok(await alive(page), "the page hears that the session is alive", await heard(page));
  const history = await page.evaluate(() => window.history.length);
  await busy(page, 1.5);
  const begun = Date.now();
  await busy(page, 5);
  const seen = await loads("token", begun);
  ok(within(gaps(seen), 700, 1350), "a page every interval", gaps(seen));
  ok(seen.every(({ query }) => /^(a=1&)?b=\d+&t=/.test(query)) && seen.some(({ query }) => query.startsWith("a=1")), "that says what a ping says", seen);
  is(connections(seen), 1, "over one connection");
  ok((await frames(page)).every((each) => each === HIDDEN), "hidden from all", await frames(page));
  is(await eventually(async () => (await frames(page)).length === 1), true, "one frame at a time");
  is(await page.evaluate(() => window.history.length), history, "the history does not grow");
  const said = (await heard(page, "ping")).map(({ detail }) => detail);
  ok(said.every(({ status, state, left }) => status === 200 && state === "alive" && left > 0) && said.some(({ active }) => active), "events say so", said);
  is((await call("requests")).filter(({ path }) => path === "/hb/ping").length, 0, "no other pings");
  const session = await call("session", "by-token");
  ok(session.source === "page" && session.last_active > 0 && session.beats >= 5, "the session is in Redis", session);

  await page.evaluate(() => heartbeat.stop());
  ok(await eventually(async () => (await frames(page)).length === 0), "stopped: no frame is left");
  const stopped = Date.now();
  is(await call("online", "by-token"), 1, "online");
  ok(await eventually(async () => !(await call("online", "by-token")), 15), "and offline, with no frame to keep it");
  is((await loads("token", stopped)).length, 0, "nothing was asked since");
  await context.close();
});

test("a hundred pings", async () => {
  const context = await visitor();
  const page = await open(context, "/memory.html", [], shop);
  const session = await context.newCDPSession(page);
  const many = (n) => page.evaluate(async (times) => { for (let i = 0; i < times; ++i) await heartbeat.ping(); }, n);
  const kept = async () => {
    await session.send("HeapProfiler.collectGarbage");
    const { documents, nodes, jsEventListeners } = await session.send("Memory.getDOMCounters");
    return { documents, nodes, jsEventListeners, frames: page.frames().length };
  };
  await many(5);
  const before = await kept();
  await many(100);
  const steady = ({ documents, nodes, jsEventListeners, frames }) =>
    frames === 2 && documents <= before.documents + 1 && nodes <= before.nodes + 10 && jsEventListeners <= before.jsEventListeners + 2;
  const after = await measured(steady, kept); // a frame may just be replaced by the next
  ok(steady(after), "leave nothing behind", [before, after]);
  ok((await loads("memory")).length >= 105, "and were made");
  await context.close();
});

test("in a hidden tab", async () => {
  const context = await visitor();
  const page = await open(context, "/hidden.html", [], shop);
  await alive(page);
  await hide(context);
  await sleep(3);
  is(await page.evaluate(() => document.visibilityState), "hidden", "is hidden");
  const begun = Date.now();
  await sleep(5);
  const seen = await loads("hidden", begun);
  ok(within(gaps(seen), 700, 1350), "the rhythm is kept", gaps(seen));
  await context.close();
});

test("without a human", async () => {
  const context = await visitor();
  const page = await open(context, "/idle.html", [], shop);
  ok(await eventually(async () => (await heard(page, "timeout")).length), "fires timeout");
  is((await frames(page)).length, 0, "no frame is left");
  const begun = Date.now();
  await sleep(1.5);
  is((await loads("idle", begun)).length, 0, "nothing is asked");
  await page.keyboard.press("a");
  ok(await eventually(async () => (await loads("idle", begun)).length), "and again when the human is back");
  is((await heard(page, "resume")).length, 1, "with resume");
  await context.close();
});

test("two tabs", async () => {
  const context = await visitor();
  const pages = [await open(context, "/tabs.html", [], shop), await open(context, "/tabs.html", [], shop)];
  await Promise.all(pages.map((page) => eventually(async () => (await heard(page)).length > 0, 2)));
  await sleep(1.5);
  const begun = Date.now();
  await sleep(5);
  const seen = await loads("tabs", begun);
  ok(seen.length >= 4 && seen.length <= 6, "one of them loads the page", gaps(seen));
  await context.close();
});

test("refused", async () => {
  const context = await visitor();
  const page = await open(context, "/refused.html", [/status of 403/], shop);
  ok(await eventually(async () => (await heard(page, "expired")).length), "fires expired", await heard(page));
  is((await states(page)).join(" "), "refused", "as the page said");
  await sleep(2.5);
  is((await heard(page, "ping")).length, 1, "and asks no more");
  is((await frames(page)).length, 0, "no frame is left");
  await context.close();
});

test("too often", async () => {
  const context = await visitor("often", login);
  const permitted = await permissive();
  await permitted.addCookies([{ name: "hb", value: "often", url: login, secure: true, sameSite: "None" }]);
  const page = await open(permitted, "/limited.html", [/status of 429/], shop);
  ok(await eventually(async () => (await heard(page, "wait")).length), "fires wait", await heard(page));
  const [{ detail }] = await heard(page, "wait");
  ok(detail.status === 429 && detail.seconds > 5, "for as long as the server says", detail);
  for (const each of [context, permitted]) await each.close();
});

test("a cookie that is kept back", async () => {
  const context = await visitor();
  await context.addCookies([{ name: "hb", value: "kept-back", url: login, secure: true, sameSite: "None" }]);
  const page = await open(context, "/cookie.html", [], shop);
  await eventually(async () => (await states(page)).length >= 2);
  ok((await states(page)).every((each) => each === "none"), "is no session, and the page knows", await states(page));
  await context.close();
});

test("a cookie for all sites, where the browser sends it", async () => {
  const context = await permissive();
  await context.addCookies([{ name: "hb", value: "by-cookie", url: login, secure: true, sameSite: "None" }]);
  const page = await open(context, "/allowed.html", [], shop);
  ok(await alive(page), "keeps the session", await heard(page));
  ok((await loads("allowed")).every(({ who }) => who === "by-cookie"), "every time");
  ok(await eventually(async () => (await call("session", "by-cookie")).source === "page"), "which is in Redis"); // at the next flush
  await context.close();
});

test("a partitioned cookie, where the browser keeps others back", async () => {
  const context = await visitor();
  const page = await open(context, "/partitioned.html", [], shop);
  await eventually(async () => (await loads("partitioned")).length >= 4);
  const [first, ...others] = (await loads("partitioned")).map(({ who }) => who);
  is(first, "-", "is issued with the first answer");
  is(new Set(others).size, 1, "and comes back");
  ok(others[0].length > 20, "each time", others);
  const { sid } = JSON.parse(atob(others[0].split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  ok(await eventually(async () => (await call("session", sid)).beats >= 3), "for one session", await call("session", sid));
  await context.close();
});

test("https from http, on one host", async () => {
  const context = await visitor();
  const page = await open(context, "/same.html", [], same);
  ok(await alive(page), "by token", await heard(page));
  await context.close();
});

test("a strict policy", async () => {
  const context = await visitor();
  const page = await open(context, "/strict.html", [], shop);
  ok(await alive(page), "frame-src is enough", await heard(page));
  ok((await frames(page)).every((each) => each === HIDDEN), "and it is hidden all the same", await frames(page));
  await context.close();
});

test("back and forth", async () => {
  const context = await visitor();
  const page = await open(context, "/history.html", [], shop);
  await page.evaluate(() => addEventListener("pageshow", ({ persisted }) => (window.persisted = persisted)));
  await eventually(async () => (await states(page)).length >= 1);
  await sleep(1); // no frame is loading any more: that would keep the page out
  await page.goto(`${shop}/silent.html`);
  await page.goBack({ waitUntil: "commit" });
  const [persisted, why] = await page.evaluate(() => [window.persisted, performance.getEntriesByType("navigation")[0].notRestoredReasons]);
  ok(persisted, "the page comes out of the back/forward cache", why);
  const begun = Date.now();
  ok(await eventually(async () => (await loads("history", begun)).length >= 1, 6), "and goes on");
  await context.close();
});

test("without scripts", async () => {
  const context = await visitor(undefined, shop, { javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${shop}/plain.html`);
  ok(await eventually(async () => (await loads("plain")).length >= 5, 8), "the page refreshes itself");
  const seen = await loads("plain");
  ok(within(gaps(seen), 900, 2900), "after a third of the timeout, and before it is over", gaps(seen));
  is(await call("online", "by-plain"), 1, "the session is online");
  await context.close();
  ok(await eventually(async () => !(await call("online", "by-plain")), 15), "and offline, when the window is closed");
});

test("no server", async () => {
  const context = await visitor();
  const page = await open(context, "/dead.html", [/ERR_CONNECTION_REFUSED/], shop);
  ok(await eventually(async () => (await heard(page, "wait")).length >= 2, 8), "waits, and tries again", await heard(page));
  ok((await states(page)).every((each) => each === 0), "status 0", await states(page));
  ok((await frames(page)).length <= 1, "no frames pile up");
  await context.close();
});

// --- who is not heard ---

for (const [name, path] of [["the page itself", "self"], ["another window of its origin", "sibling"], ["its window with another origin", "moved"]]) {
  test(`a message of ${name}`, async () => {
    const context = await visitor();
    const page = await open(context, `/${path}.html`, [], shop);
    await eventually(async () => (await heard(page, "ping")).length >= 1);
    const found = await states(page);
    ok(found.length > 0 && found.every((each) => each === 0), "does not count", found);
    await context.close();
  });
}

test("an origin that is not listed", async () => {
  const context = await visitor();
  const page = await open(context, "/foreign.html", [/frame-ancestors/, /ERR_BLOCKED_BY_RESPONSE/], shop);
  await eventually(async () => (await heard(page, "ping")).length >= 1);
  const found = await states(page);
  ok(found.length > 0 && found.every((each) => each === 0), "hears nothing", found);

  const listener = await open(context, "/listen.html", [], shop);
  await sleep(2);
  is(await listener.evaluate(() => window.told.length), 0, "nor would it where browsers did not keep the page out");
  is((await call("requests")).filter(({ query }) => query.includes("moved")).length, 0, "and it cannot move the page");
  const meddler = await open(context, "/sibling-of-page.html", [], shop);
  await sleep(1);
  is((await call("requests")).filter(({ query }) => query.includes("moved")).length, 0, "nor can another window of an allowed one");
  await meddler.evaluate(() => frames[0].postMessage({ type: "heartbeat", query: "moved=2" }, "*"));
  ok(await eventually(async () => (await loads("stranger")).some(({ query }) => query === "moved=2")), "which itself can");
  await context.close();
});

// --- the browser's leave ---

// Who has never been at a site cannot let it have its cookies.
async function known() {
  const context = await visitor();
  await context.addCookies([{ name: "hb", value: "by-leave", url: login, secure: true, sameSite: "None" }]);
  const page = await open(context, "/silent.html", [], login);
  await page.mouse.click(5, 5);
  await page.close();
  return context;
}
const shown = (page) => page.locator("#keep").isVisible();

test("asking", async () => {
  const context = await known();
  const page = await open(context, "/asked.html", [], safe);
  ok(await eventually(() => shown(page)), "the element is shown", await heard(page));
  const button = page.frameLocator("#keep iframe").locator("button");
  is(await button.textContent(), "Remain signed in", "with a button in the words of the page");
  await sleep(2.5);
  is((await loads("asked")).length, 1, "which stays while the human thinks");
  ok((await states(page)).every((each) => each === "none"), "no session so far", await states(page));
  await context.grantPermissions(["storage-access"]); // what the human says to the browser's own question
  const history = await page.evaluate(() => window.history.length);
  await button.click();
  ok(await alive(page), "the session is alive", await heard(page));
  ok(!(await shown(page)), "and the element hidden");
  const begun = Date.now();
  await busy(page, 4);
  const seen = await loads("asked", begun);
  ok(seen.length >= 3 && seen.length <= 5, "one page every interval", gaps(seen));
  ok(seen.every(({ who }) => who === "by-leave"), "each with the cookie", seen);
  is(await page.evaluate(() => window.history.length), history, "the history does not grow");
  await context.close();
});

test("asking in vain", async () => {
  const context = await known();
  const page = await open(context, "/denied.html", [/requestStorageAccess: Permission denied/], safe);
  await eventually(() => shown(page));
  await page.frameLocator("#keep iframe").locator("button").click();
  ok(await eventually(async () => !(await shown(page))), "the element is hidden");
  await sleep(2.5);
  ok(!(await shown(page)), "for good");
  await context.close();
});

test("asked before", async () => {
  const context = await known();
  await context.grantPermissions(["storage-access"]);
  const page = await open(context, "/granted.html", [], safe);
  ok(await alive(page), "is enough", await heard(page));
  ok(!(await states(page)).includes("none"), "from the first ping on", await states(page));
  ok(!(await shown(page)), "nobody is asked");
  await context.close();
});

test("asking below an http page", async () => {
  const context = await known();
  const page = await open(context, "/ajar.html", [], shop);
  await eventually(async () => (await states(page)).length >= 2);
  ok((await states(page)).every((each) => each === "none"), "is not possible, and not tried", await states(page));
  ok(!(await shown(page)), "nothing is shown");
  await context.close();
});

await run();
