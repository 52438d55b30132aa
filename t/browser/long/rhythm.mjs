// Ten minutes in front and in a hidden tab.
import { busy, connections, gaps, hide, is, ok, open, pings, run, sleep, test, visitor, within } from "../browser.mjs";

const MINUTES = 10;

async function hidden(who) {
  const context = await visitor(who);
  const page = await open(context, `/${who}.html`);
  await hide(context);
  is(await page.evaluate(() => document.visibilityState), "hidden", "is hidden");
  const begun = Date.now();
  await sleep(MINUTES * 60);
  return pings(who, begun);
}

test("in front", async () => {
  const context = await visitor("front");
  const page = await open(context, "/worker.html");
  await busy(page, 15);
  const begun = Date.now();
  await busy(page, MINUTES * 60);
  const seen = await pings("front", begun);
  ok(seen.length >= MINUTES * 6 - 1 && within(gaps(seen), 9000, 11000), "it keeps its rhythm", gaps(seen));
  is(connections(seen), 1, "over one connection");
});

test("hidden, with a Worker", async () => {
  const seen = await hidden("worker");
  ok(seen.length >= MINUTES * 6 - 1 && within(gaps(seen), 9000, 11000), "it keeps its rhythm", gaps(seen));
  is(connections(seen), 1, "over one connection");
});

test("hidden, without one", async () => {
  const between = gaps(await hidden("plain"));
  ok(within(between, 9900, 62_000), "it is never more than a minute late", between);
});

await run({ limit: MINUTES * 60 + 90 });
