// The tabs of a site: one beats, all agree.
import { eventually, gaps, given, heard, is, measured, ok, open, pings, run, sleep, test, visitor, within } from "./browser.mjs";

const insecure = given.base.replace("127.0.0.1", "insecure.test"); // a name that browsers do not trust without TLS

async function oneBeats(who, base) {
  const context = await visitor(who, base);
  const tabs = [await open(context, "/page.html", [], base), await open(context, "/page.html", [], base)];
  const locks = await tabs[0].evaluate(() => Boolean(navigator.locks));
  is(locks, base === given.base, "with Web Locks only where a browser has them");
  await sleep(2);
  const asOne = ({ between, counts }) => between.length >= 3 && within(between, 1700, 2300) && Math.min(...counts) === 0;
  const seen = await measured(asOne, async () => {
    const begun = Date.now();
    await sleep(9);
    const counts = await Promise.all(tabs.map(async (tab) => (await heard(tab, "ping")).filter(({ at }) => at >= begun).length));
    return { between: gaps(await pings(who, begun)), counts };
  });
  ok(asOne(seen), "two tabs ping as one, and it is one of them that does it", seen);

  const [beating, other] = seen.counts[0] ? tabs : [...tabs].reverse();
  await other.bringToFront();
  const moved = Date.now();
  await other.mouse.move(7, 7, { steps: 3 });
  const next = async () => (await pings(who, moved)).slice(0, 2); // the first may have been on its way
  ok(await eventually(async () => (await next()).some(({ query }) => query.startsWith("a=1&"))), "a human in the other counts", await next());
  const closed = Date.now();
  await beating.close();
  await eventually(async () => (await pings(who, closed)).length >= 3, 15);
  const after = await pings(who, closed);
  ok(after[0].time - closed < 5000 && within(gaps(after), 1200, 5000), "when that is closed, the other goes on", [after[0].time - closed, gaps(after)]);
  await context.close();
}

test("two tabs", () => oneBeats("two", given.base));
test("two tabs without Web Locks", () => oneBeats("simple", insecure));

test("many tabs at once", async () => {
  const context = await visitor("many");
  await Promise.all([1, 2, 3, 4].map(() => open(context, "/page.html")));
  await sleep(3);
  const asOne = (between) => between.length >= 2 && within(between, 1600, 2400);
  const seen = await measured(asOne, async () => {
    const begun = Date.now();
    await sleep(7);
    return gaps(await pings("many", begun));
  });
  ok(asOne(seen), "ping as one", seen);
  await context.close();
});

test("the timeout", async () => {
  const context = await visitor("away");
  const tabs = [await open(context, "/short.html"), await open(context, "/short.html")];
  ok(await eventually(async () => (await Promise.all(tabs.map((tab) => heard(tab, "timeout")))).every((all) => all.length === 1), 10), "comes in all tabs");
  const back = Date.now();
  await tabs[1].keyboard.press("x");
  ok(await eventually(async () => (await Promise.all(tabs.map((tab) => heard(tab, "resume")))).every((all) => all.length === 1)), "and ends in all");
  await sleep(0.7);
  ok((await pings("away", back)).length < 3, "with a ping");
  await context.close();
});

test("tabs of different sessions", async () => {
  const context = await visitor("both");
  const tabs = [await open(context, "/ann.html"), await open(context, "/bob.html")];
  await sleep(5);
  for (const tab of tabs) ok((await heard(tab, "ping")).length >= 2, "each beats for its own");
  await context.close();
});

test("a tab whose token has expired", async () => {
  const context = await visitor("mixed");
  const old = await open(context, "/old.html", [/status of 403/]);
  ok(await eventually(async () => (await heard(old, "expired")).length), "says so"); // alone: else the other may ask for both
  const good = await open(context, "/new.html");
  await sleep(3);
  is((await heard(good, "expired")).length, 0, "the other, whose token is good, does not");
  ok((await heard(good, "ping")).some(({ detail }) => detail.status === 204), "and goes on");
  await context.close();
});

test("a browser that lets tabs not talk", async () => {
  const context = await visitor("silent");
  await context.addInitScript(() => { window.BroadcastChannel = class { constructor() { throw new DOMException("", "SecurityError"); } }; });
  const page = await open(context, "/page.html");
  ok(await eventually(async () => (await heard(page, "ping")).length > 1, 8), "pings all the same");
  await context.close();
});

await run();
