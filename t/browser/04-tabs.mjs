// The tabs of a site: one beats, all agree.
import { eventually, gaps, given, heard, is, ok, open, pings, run, sleep, test, visitor, within } from "./browser.mjs";

const insecure = given.base.replace("127.0.0.1", "insecure.test"); // a name that browsers do not trust without TLS

async function oneBeats(who, base) {
  const context = await visitor(who, base);
  const tabs = [await open(context, "/page.html", [], base), await open(context, "/page.html", [], base)];
  const locks = await tabs[0].evaluate(() => Boolean(navigator.locks));
  is(locks, base === given.base, "with Web Locks only where a browser has them");
  await sleep(2);
  const begun = Date.now();
  await sleep(5);
  const seen = await pings(who, begun);
  ok(seen.length >= 4 && within(gaps(seen), 850, 1150), "two tabs ping as one", gaps(seen));
  const counts = await Promise.all(tabs.map(async (tab) => (await heard(tab, "ping")).filter(({ at }) => at >= begun).length));
  ok(Math.min(...counts) === 0 && Math.max(...counts) >= 4, "it is one of them that does it", counts);

  const [beating, other] = counts[0] ? tabs : [...tabs].reverse();
  await other.bringToFront();
  const moved = Date.now();
  await other.mouse.move(7, 7, { steps: 3 });
  const next = async () => (await pings(who, moved)).slice(0, 2); // the first may have been on its way
  ok(await eventually(async () => (await next()).some(({ query }) => query.startsWith("a=1&"))), "a human in the other counts", await next());
  const closed = Date.now();
  await beating.close();
  await eventually(async () => (await pings(who, closed)).length >= 3);
  const after = await pings(who, closed);
  ok(after[0].time - closed < 1400 && within(gaps(after), 850, 1150), "when that is closed, the other goes on", [after[0].time - closed, gaps(after)]);
  await context.close();
}

test("two tabs", () => oneBeats("two", given.base));
test("two tabs without Web Locks", () => oneBeats("simple", insecure));

test("many tabs at once", async () => {
  const context = await visitor("many");
  await Promise.all([1, 2, 3, 4].map(() => open(context, "/page.html")));
  await sleep(3);
  const begun = Date.now();
  await sleep(4);
  const seen = await pings("many", begun);
  ok(seen.length >= 1 && within(gaps(seen), 800, 1200), "ping as one", gaps(seen));
  await context.close();
});

test("the timeout", async () => {
  const context = await visitor("away");
  const tabs = [await open(context, "/short.html"), await open(context, "/short.html")];
  ok(await eventually(async () => (await Promise.all(tabs.map((tab) => heard(tab, "timeout")))).every((all) => all.length === 1), 8), "comes in all tabs");
  const back = Date.now();
  await tabs[1].keyboard.press("x");
  ok(await eventually(async () => (await Promise.all(tabs.map((tab) => heard(tab, "resume")))).every((all) => all.length === 1)), "and ends in all");
  await sleep(0.7);
  is((await pings("away", back)).length, 1, "with one ping");
  await context.close();
});

test("tabs of different sessions", async () => {
  const context = await visitor("both");
  const tabs = [await open(context, "/ann.html"), await open(context, "/bob.html")];
  await sleep(3);
  for (const tab of tabs) ok((await heard(tab, "ping")).length >= 2, "each beats for its own");
  await context.close();
});

await run();
