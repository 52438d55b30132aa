// One tab: its rhythm, in front and hidden, its budget, its timeout.
import { busy, call, connections, eventually, gaps, heard, hide, is, measured, ok, open, pings, run, sleep, test, visitor, within } from "./browser.mjs";

test("an active tab", async () => {
  const context = await visitor("active");
  const page = await open(context, "/steady.html");
  await busy(page, 3); // other pages are being opened meanwhile
  const asked = [];
  page.on("request", (request) => asked.push(request));
  const regular = (some) => some.length >= 4 && within(gaps(some), 1800, 2200);
  const seen = await measured(regular, async () => {
    const begun = Date.now();
    await busy(page, 10);
    return pings("active", begun);
  });
  ok(regular(seen), "a ping every interval, give or take a tenth", gaps(seen));
  is(connections(seen), 1, "over one connection");
  ok(seen.every((each) => each.method === "HEAD" && each.status === 204), "HEAD, 204", seen);
  ok(seen.every((each) => each.query === "a=1&b=9"), "says that there is a human, and the budget", seen);
  const headers = await asked.find((each) => each.url().includes("/hb/ping")).allHeaders();
  is(headers.referer, undefined, "and no more than that: no referrer");
  is(headers["content-type"] ?? headers["cache-control"], undefined, "nothing of a body or a cache");
  ok((await heard(page, "ping")).length >= 5, "events say so");
  const session = await eventually(async () => { const now = await call("session", "active"); return now.beats >= 5 && now.last_active && now; });
  ok(session, "and the session is in Redis");
  await context.close();
});

test("an idle tab", async () => {
  const context = await visitor("idle");
  const begun = Date.now();
  const page = await open(context, "/page.html");
  ok(await eventually(async () => (await heard(page, "timeout")).length, 9), "fires timeout");
  const [timeout] = await heard(page, "timeout");
  const loaded = await page.evaluate(() => performance.timeOrigin);
  ok(timeout.at - loaded > 4900 && timeout.at - loaded < 12_000, "when it should", timeout.at - loaded);
  const seen = await pings("idle", begun);
  ok(seen.length <= 5 && seen.length >= 3, "has sent its budget", seen);
  is(seen.map((each) => each.query).join(" ").slice(0, 15), "a=1&b=4 b=3 b=2", "and counted it");
  await sleep(2.5);
  is((await pings("idle", begun)).length, seen.length, "then it is silent");
  is((await heard(page, "timeout")).length, 1, "and says so once");

  const back = Date.now();
  await page.keyboard.press("a");
  const first = await eventually(async () => (await pings("idle", back))[0]);
  ok(first?.time - back < 1500, "a key: it pings at once", first);
  is(first?.query, "a=1&b=4", "with the whole budget");
  is((await heard(page, "resume")).length, 1, "and fires resume");
  await context.close();
});

test("what is no human", async () => {
  const context = await visitor("robot");
  const page = await open(context, "/page.html");
  const robot = page.evaluate(async () => {
    const end = Date.now() + 6500;
    while (Date.now() < end && !window.events.some((each) => each.name === "timeout")) {
      for (const kind of ["keydown", "pointermove", "wheel", "focus", "visibilitychange"]) window.dispatchEvent(new Event(kind));
      await new Promise((done) => setTimeout(done, 100));
    }
    return window.events.some((each) => each.name === "timeout");
  });
  ok(await robot, "scripts cannot keep it awake");
  await context.close();
});

test("a hidden tab", async () => {
  const context = await visitor("hidden");
  const lazy = await visitor("lazy");
  const page = await open(context, "/patient.html");
  const without = await open(lazy, "/no-worker.html");
  for (const each of [context, lazy]) await hide(each);
  is(await page.evaluate(() => document.visibilityState), "hidden", "is hidden");
  is(await without.evaluate(() => document.visibilityState), "hidden", "and so is one without a Worker");
  await sleep(5);
  let begun;
  const between = async (each) => gaps((await heard(each, "ping")).filter(({ at }) => at >= begun).map(({ at }) => ({ time: at })));
  const regular = (some) => some.length >= 4 && within(some, 900, 1100);
  const seen = await measured(regular, async () => {
    begun = Date.now();
    await sleep(6);
    return between(page);
  });
  ok(regular(seen), "the Worker keeps the rhythm", seen);
  ok(!regular(await between(without)), "timers of the page do not");
  for (const each of [context, lazy]) await each.close();
});

await run();
