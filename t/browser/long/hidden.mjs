// Seven minutes in a hidden tab.
import { connections, gaps, hide, is, ok, open, pings, run, sleep, test, visitor, within } from "../browser.mjs";

const MINUTES = 7;

async function hidden(who) {
  const context = await visitor(who);
  const page = await open(context, `/${who}.html`);
  await hide(context);
  is(await page.evaluate(() => document.visibilityState), "hidden", "is hidden");
  const begun = Date.now();
  await sleep(MINUTES * 60);
  return pings(who, begun);
}

test("with a Worker", async () => {
  const seen = await hidden("worker");
  ok(seen.length >= MINUTES * 6 - 1 && within(gaps(seen), 9000, 11000), "it keeps its rhythm", gaps(seen));
  is(connections(seen), 1, "over one connection");
});

test("without one", async () => {
  const between = gaps(await hidden("plain"));
  ok(between.at(-1) > 50_000, "the browser slows it down", between);
});

await run({ limit: MINUTES * 60 + 60 });
