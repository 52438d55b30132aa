// What the script makes of the server's answers.
import { eventually, gaps, given, heard, is, ok, open, pings, run, sleep, test, visitor, within } from "./browser.mjs";

const refused = (status) => [new RegExp(`status of ${status}`)]; // the browser itself writes that to the console

test("403", async () => {
  const context = await visitor("mallory");
  const page = await open(context, "/forged.html", refused(403));
  ok(await eventually(async () => (await heard(page, "expired")).length), "fires expired");
  const other = await open(context, "/forged.html", refused(403));
  ok(await eventually(async () => (await heard(other, "expired")).length), "in every tab");
  const seen = (await pings("mallory")).length;
  await page.mouse.move(5, 5, { steps: 3 });
  await sleep(2.5);
  is((await pings("mallory")).length, seen, "and stops, whatever the human does");
  await page.evaluate((token) => window.heartbeat.start({ token }), given.token);
  ok(await eventually(async () => (await heard(page, "ping")).some(({ detail }) => detail.status === 204)), "until it is started again");
  await context.close();
});

test("429", async () => {
  const context = await visitor("hasty");
  const page = await open(context, "/rate.html", refused(429));
  const [limited] = await eventually(async () => { const all = await heard(page, "wait"); return all.length > 0 && all; });
  is(limited.detail.status, 429, "is told of");
  await eventually(async () => (await pings("hasty", limited.at + 20, "/rate/ping")).length, 7);
  const [next] = await pings("hasty", limited.at + 20, "/rate/ping");
  ok(next.time >= limited.at + 3500 && next.time - limited.at <= limited.detail.seconds * 1000 + 400, "it waits as long as Retry-After says", [next, limited]);
  is(next.status, 204, "and is then let in");
  await context.close();
});

test("503", async () => {
  const context = await visitor("patient");
  const page = await open(context, "/busy.html", refused(503));
  await eventually(async () => (await pings("patient", 0, "/busy/ping")).length >= 3, 9);
  const between = gaps(await pings("patient", 0, "/busy/ping"));
  ok(within(between, 2950, 3600), "it waits as long as Retry-After says", between);
  ok((await heard(page, "wait")).every(({ detail }) => detail.status === 503 && detail.seconds >= 3 && detail.seconds <= 3.3), "and says so");
  await context.close();
});

await run();
