// What a page recorded arrives, whichever way it is left and whichever transport is told first; of a browser or a page that
// is killed all but the last two seconds.
import { readFileSync } from "node:fs";
import { alone, call, eventually, given, hide, is, ok, open, run, sleep, test, visitor } from "./browser.mjs";

let runs = 0;

/** The client is there: what is recorded before is lost if the page goes before. */
const loaded = (page) => page.waitForFunction(() => {
  const items = document.querySelector('script[src*="?c="]')?.heartbeat.items;
  return items && Object.hasOwn(items, "push");
});

/** A page of a run of its own, in which note(item) records an item. */
async function begun(context, order) {
  const name = `${order}-${++runs}`;
  const page = await open(context, `/${order}.html#${name}`, [/./]);
  await loaded(page);
  await page.evaluate(() => { note(1); });
  await sleep(0.4 * (runs % 4)); // on its way, or waiting, or acknowledged
  await page.evaluate(() => { note(2); });
  return { name, page };
}

const whole = (name, expected) => eventually(async () => {
  const now = await call("ledger", name);
  return expected.every((item) => now.items.includes(item)) && now;
}, 8);

async function arrived(name, expected, way, found) {
  const seen = await whole(name, expected);
  const { items, ...more } = seen || await call("ledger", name);
  ok(seen, `${way}: all arrives`, { expected, items, found, ...more });
  return seen;
}

const LEFT = ["begun", 1, 2, "hidden", "pagehide"];
const WAYS = {
  "another tab": async ({ context }) => { await hide(context); return LEFT.slice(0, -1); },
  "a link on the site": async ({ page }) => { await page.click("#same"); return LEFT; },
  "a link to another site": async ({ page }) => { await page.click("#other"); return LEFT; },
  "the tab is closed": async ({ page }) => { await page.close(); return LEFT; },
  "reload": async ({ page }) => { await page.reload(); return LEFT; },
};

async function everyWay(order) {
  for (const [way, leave] of Object.entries(WAYS)) {
    const context = await visitor();
    const { name, page } = await begun(context, order);
    const seen = await arrived(name, await leave({ context, page }), way);
    if (seen) ok(seen.views.some(({ load, leave: left }) => load && left), `${way}: the flags`, seen);
    await context.close();
  }
}

// Browsers do not promise to bring a page back, least of all on a busy machine.
async function backAndForth(order) {
  const restored = (page) => eventually(() => page.evaluate(() => window.restored ?? null).catch(() => null));
  for (let go = 1; go <= 3; ++go) {
    const context = await visitor();
    const { name, page } = await begun(context, order);
    await sleep(1.5); // nothing is on its way
    await page.goto(`${given.base}/other.html`);
    await sleep(0.5);
    await page.evaluate(() => { history.back(); });
    if (!(await restored(page)) && go < 3) {
      await context.close();
      continue;
    }
    ok(await restored(page), "from the back/forward cache: restored", await page.evaluate(() => performance.getEntriesByType("navigation")[0].notRestoredReasons));
    await page.evaluate(() => { note("again"); });
    await page.close();
    await arrived(name, [...LEFT, "again"], "from the back/forward cache");
    const parts = await eventually(async () => (await call("ledger", name)).views.some((view) => view.parts === "2"));
    ok(parts, "from the back/forward cache: one view of two parts", await call("ledger", name));
    await context.close();
    return;
  }
}

// Items come all the time; what was recorded so long before the end must be there.
async function killed(order, way, end) {
  const { context, kill } = await alone();
  const { name, page } = await begun(context, order);
  const times = [];
  for (const last = Date.now() + 4000; Date.now() < last; await sleep(0.05)) {
    await page.evaluate((item) => { note(item); }, 100 + times.length);
    times.push(Date.now());
  }
  const at = Date.now();
  await end({ context, page, kill });
  const old = times.flatMap((time, i) => (time < at - 2000 ? [100 + i] : []));
  await arrived(name, ["begun", 1, 2, ...old], way);
  await Promise.race([context.close().catch(() => {}), sleep(5)]);
}

const crash = async ({ page }) => {
  const session = await page.context().newCDPSession(page);
  session.send("Page.crash").catch(() => {});
  await sleep(0.5);
};

// Begins a run in a browser that ends: end({context, page, kill}). Resolves to {name, profile}.
async function ends(order, way, options, end) {
  const { context, profile, kill } = await alone(options);
  const over = new Promise((done) => { context.once("close", () => done(true)); });
  const [blank] = context.pages();
  const { name, page } = await begun(context, order);
  await blank.close();
  await end({ context, page, kill });
  ok(await Promise.race([over, sleep(10)]), `${way}: it ends`);
  return { name, profile };
}

// As people do it, who close the last page and the browser with it, or log out. (SIGTERM is a kill to Chromium: it is gone in
// some hundredths of a second, and its pages hear nothing.)
const ENDS = {
  "the browser is closed": ({ page }) => page.close({ runBeforeUnload: true }),
  "SIGHUP": ({ kill }) => kill("SIGHUP"),
};

// What that has no time to send, their next visit brings. Where something is missing, what was found in the browser, and what
// the page had said to it by the end, shows how far the page came.
async function closed(order, way) {
  const { name, profile } = await ends(order, way, { window: true }, async (browser) => {
    await browser.page.waitForFunction(() => !document.hidden);
    await ENDS[way](browser);
  });
  if (await whole(name, LEFT)) return ok(true, `${way}: all arrives`);
  const said = readFileSync(`${profile}/chrome_debug.log`, "utf8").match(/ledger [^" ]*/g);
  const { context } = await alone({ window: true, profile });
  await context.addInitScript(() => { window.found = Object.values(localStorage).join(); });
  const { page } = await begun(context, order);
  await arrived(name, LEFT, `${way}, and comes back`, { said, stored: await page.evaluate(() => window.found) });
  await context.close();
}

// Its pages are not asked, so only what is armed can go out. On a busy machine a few have no time for that; one that can do
// it does it in one of three, and where it is counted each counts.
async function ended(order) {
  const way = "a program ends the browser";
  const expected = ["default", "fetchLater", "elsewhere"].includes(order) ? LEFT.slice(0, 3) : ["begun"];
  const goes = given.times > 1 ? 1 : 3;
  for (let go = 1; go <= goes; ++go) {
    const { name } = await ends(order, way, {}, async ({ context }) => {
      await sleep(0.2); // what is armed in the last tenth of a second, a browser may forget
      await context.close();
    });
    if (go === goes || (await whole(name, expected))) return arrived(name, expected, way);
  }
}

const GROUPS = {
  pages: everyWay,
  cache: backAndForth,
  closed: async (order) => { for (const way of Object.keys(ENDS)) await closed(order, way); },
  ended,
  killed: async (order) => {
    await killed(order, "SIGTERM", ({ kill }) => kill("SIGTERM"));
    await killed(order, "a program ends it", ({ context }) => context.close());
    await killed(order, "SIGKILL", ({ kill }) => kill("SIGKILL"));
    await killed(order, "the page is killed", crash);
  },
};
for (const order of [...given.orders, "elsewhere"]) {
  for (let i = 0; i < given.times; ++i) for (const group of given.groups) test(order, () => GROUPS[group](order));
}

const parked = (where) => where.evaluate(() => Object.values(localStorage).join());

test("what could not be sent", async () => {
  const context = await visitor("parked");
  const { name, page } = await begun(context, "image");
  await context.setOffline(true);
  await page.evaluate(() => { note("offline"); });
  await hide(context);
  ok(await eventually(async () => (await parked(page)).includes("offline")), "waits in the browser", await parked(page));
  await page.close();
  await context.setOffline(false);
  const { page: next } = await begun(context, "image");
  await arrived(name, ["begun", 1, 2, "offline"], "the next page");
  ok(await eventually(async () => !(await parked(next)).includes("offline")), "which empties that", await parked(next));
  await context.close();
});

test("who follows a link", async () => {
  const context = await visitor("link");
  const page = await open(context, "/begin.html");
  const views = async () => (await call("views")).filter(({ session }) => session === "link");
  ok(await eventually(async () => (await views())[0]?.load), "it has loaded");
  await page.click("#next");
  await loaded(page);
  ok(await eventually(async () => (await parked(page)) === "[]"), "nothing waits in the browser any more", await parked(page));
  const begin = async () => (await views()).find(({ choice }) => choice === "image"); // nothing was armed there
  ok(await eventually(async () => (await begin()).state === "complete"), "what was said has come", await begin());
  const left = await begin();
  ok(left.batches === "2" && !left.duplicates, "nor was said twice", left);
  await context.close();
});

test("a page that records nothing", async () => {
  const context = await visitor("quiet");
  const page = await open(context, "/quiet.html#quiet");
  await sleep(1);
  await page.close();
  ok(await eventually(async () => (await call("views")).some(({ session, load, leave, state, batches }) => session === "quiet" && load && leave && state === "complete" && batches === "2")),
    "is complete with two batches", await call("views"));
  await context.close();
});

test("large items, and many", async () => {
  const context = await visitor(undefined);
  const { name, page } = await begun(context, "default");
  const large = "é\u0001😀".repeat(6000);
  await page.evaluate((text) => { note(text); for (let i = 100; i < 400; ++i) note(i); }, large);
  await arrived(name, ["begun", 1, 2, large, ...Array.from({ length: 300 }, (_, i) => 100 + i)], "in many batches");
  is(await page.evaluate(() => window.events.filter(({ name: event }) => event === "dropped" || event === "refused").length), 0, "and none is dropped");
  await context.close();
});

test("what cannot be recorded", async () => {
  const context = await visitor(undefined);
  const { page } = await begun(context, "default");
  const dropped = () => page.evaluate(() => window.events.filter(({ name }) => name === "dropped").length);
  await page.evaluate(() => {
    const circle = {};
    circle.circle = circle;
    for (const item of [circle, undefined, () => 1, 1n, Symbol("x")]) heartbeat.record(item);
  });
  is(await dropped(), 5, "is dropped, with an event");
  await context.close();
});

test("a strict policy", async () => {
  const context = await visitor(undefined);
  const page = await open(context, "/strict.html#strict");
  await loaded(page);
  await page.evaluate(() => heartbeat.record({ run: "strict", item: 1 }));
  await page.close();
  await arrived("strict", [1], "default-src 'none'");
  await context.close();
});

test("not before it has started", async () => {
  const context = await visitor(undefined);
  const { name, page } = await begun(context, "off");
  await sleep(2);
  is((await call("ledger", name)).items.length, 0, "nothing is sent");
  await page.evaluate(() => heartbeat.start());
  await page.evaluate(() => heartbeat.stop());
  await page.evaluate(() => { note(3); });
  await arrived(name, ["begun", 1, 2, 3], "then");
  await context.close();
});

// What is to be counted is what browsers lose, not what a machine does that has too much to do.
await run({ limit: 90 + 10 * given.times, lanes: given.times > 1 ? 2 : undefined });
