// The script in Firefox: what every browser has to do.
import { busy, connections, eventually, gaps, heard, is, ok, open, pings, run, test, visitor, within } from "../browser.mjs";

test("an active tab", async () => {
  const page = await open(await visitor("active"), "/steady.html");
  await busy(page, 3);
  const begun = Date.now();
  await busy(page, 10);
  const seen = await pings("active", begun);
  ok(seen.length >= 4 && within(gaps(seen), 1800, 2200), "a ping every interval", gaps(seen));
  is(connections(seen), 1, "over one connection");
  ok(seen.every(({ method, status, query }) => method === "HEAD" && status === 204 && query.startsWith("a=1")), "HEAD, 204, and a human", seen);
  await page.context().close();
});

test("an idle tab", async () => {
  const page = await open(await visitor("idle"), "/page.html");
  ok(await eventually(async () => (await heard(page, "timeout")).length, 12), "fires timeout");
  const back = Date.now();
  await page.keyboard.press("a");
  ok(await eventually(async () => (await pings("idle", back))[0]), "a key: it pings");
  is((await heard(page, "resume")).length, 1, "and fires resume");
  await page.context().close();
});

test("who is online", async () => {
  const page = await open(await visitor("<b>list</b>"), "/list.html");
  ok(await eventually(async () => (await page.textContent("#who")).includes("<b>list</b>"), 10), "names are text");
  await page.context().close();
});

test("a session of another site", async () => {
  const page = await open(await visitor("framed"), "/frame.html");
  ok(await eventually(async () => (await heard(page, "ping")).some(({ detail }) => detail.state === "alive"), 10), "is kept in a frame");
  await page.context().close();
});

await run();
