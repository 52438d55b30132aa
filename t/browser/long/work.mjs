// What the script costs the page.
import { busy, eventually, heard, ok, open, run, sleep, test, trace, visitor } from "../browser.mjs";

test("next to no work", async () => {
  const context = await visitor("work");
  const page = await open(context, "/plain.html");
  const spent = await trace(page, async () => {
    await page.goto(page.url().replace("plain.html", "page.html"));
    await busy(page, 4);
  });
  ok(spent.count > 20 && spent.longest < 5, "no task of the script takes 5 ms", spent);
  await context.close();
});

test("no layout", async () => {
  const context = await visitor("layout");
  const page = await open(context, "/quiet.html");
  await sleep(2); // until the page itself is laid out
  const spent = await trace(page, () => sleep(4));
  ok(spent.count > 3, "it is at work", spent);
  ok(spent.layouts === 0, "and nothing is laid out for it", spent.layouts);
  await context.close();
});

// The page's clock is turned by hand, so a timer of the page keeps the time.
test("an hour", async () => {
  const context = await visitor("hour");
  const page = await context.newPage();
  await page.clock.install();
  await page.goto((await open(context, "/plain.html")).url().replace("plain.html", "patient.html"));
  const devtools = await context.newCDPSession(page);
  const turn = async (seconds) => {
    for (let at = 0; at < seconds; at += 5) {
      await page.clock.runFor(5000);
      await sleep(0.02); // for the answers, which come in real time
    }
    await page.evaluate(() => { window.events.length = 0; });
    await devtools.send("HeapProfiler.collectGarbage");
    return (await devtools.send("Runtime.getHeapUsage")).usedSize;
  };
  const pings = () => heard(page, "ping").then((all) => all.length);
  ok(await eventually(async () => (await page.clock.runFor(5000), await pings())), "it pings");
  const before = await turn(300);
  const after = await turn(3600);
  ok(after - before < 50_000, "the memory stays as it is", { before, after });
  await context.close();
});

await run({ limit: 180 });
