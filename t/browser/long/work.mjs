// What the script costs the page.
import { busy, given, is, ok, open, run, sleep, test, trace, visitor } from "../browser.mjs";

test("next to no work", async () => {
  const context = await visitor("work");
  const page = await open(context, "/plain.html");
  const spent = await trace(page, async () => {
    await page.goto(page.url().replace("plain.html", "page.html"));
    await busy(page, 4);
  });
  ok(spent.count > 20 && spent.longest < 5, "no task of the script takes 5 ms", spent);
  const quiet = await open(context, "/quiet.html");
  await sleep(2); // until the page itself is laid out
  const later = await trace(quiet, () => sleep(4));
  ok(later.count > 3, "a page that shows nothing of it", later);
  is(later.layouts, 0, "is never laid out anew");
  await context.close();
});

// The page's clock is turned by hand, so a timer of the page keeps the time. In the first hour the browser still
// compiles.
test("an hour", async () => {
  await sleep(15); // until the measurements above are over
  const context = await visitor("hour");
  const page = await context.newPage();
  await page.clock.install();
  await page.goto(`${given.base}/patient.html`);
  const devtools = await context.newCDPSession(page);
  const turn = async (seconds) => {
    for (let at = 0; at < seconds; at += 5) {
      await page.clock.runFor(5000);
      await sleep(0.02); // for the answers, which come in real time
    }
    const pings = await page.evaluate(() => window.events.splice(0).filter(({ name }) => name === "ping").length);
    await sleep(11); // a ping's patience is of real time
    await devtools.send("HeapProfiler.collectGarbage");
    return { pings, bytes: (await devtools.send("Runtime.getHeapUsage")).usedSize };
  };
  const before = await turn(3600);
  const after = await turn(3600);
  ok(after.pings > 300, "it pings", after);
  ok(after.bytes - before.bytes < 50_000, "the memory stays as it is", { before, after });
  await context.close();
});

await run({ limit: 180 });
