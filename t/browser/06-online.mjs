// Who is online, in an element of the page.
import { eventually, given, heard, hide, is, ok, open, pings, run, sleep, test, visitor } from "./browser.mjs";

const MARKUP = "<img src=x onerror=alert(1)> & <b>Bob</b>";
const beat = (session, user) => fetch(`${given.base}/hb/beat`, { method: "POST", body: new URLSearchParams({ session, user }) });
const shown = (page) => page.evaluate(() => [...document.querySelector("#who").children].map((each) => each.textContent));
const asked = (who, since) => pings(who, since, "/hb/online");

for (const [session, user] of [["s1", "Ann"], ["s2", MARKUP], ["s3", "\u202Egnol"]]) await beat(session, user);

test("a list", async () => {
  const context = await visitor("watcher");
  const page = await open(context, "/list.html");
  ok(await eventually(async () => (await shown(page)).includes("Ann"), 9), "is filled");
  const names = await shown(page);
  ok(names.includes(MARKUP), "with names as they are", names);
  is(await page.evaluate(() => document.querySelectorAll("#who img, #who b").length), 0, "as text and never as markup");
  is(await page.evaluate(() => [...document.querySelectorAll("#who > li")].every((each) => each.dir === "auto")), true, "whose direction stays in their line");
  ok(await page.evaluate(() => document.querySelector("#who").dataset.count >= 3), "and says how many there are");
  await beat("s4", "Carl");
  ok(await eventually(async () => (await shown(page)).includes("Carl"), 6), "is refreshed");
  const [event] = (await heard(page, "online")).slice(-1);
  ok(event.detail.online.some((each) => each.name === "Carl"), "and told to the page");
  ok(await eventually(async () => (await asked("watcher")).some((each) => each.status === 304), 8), "a list that is the same is not sent again");
  const before = (await asked("watcher")).length;
  await eventually(async () => (await asked("watcher")).length >= before + 2);
  const events = (await heard(page, "online")).length; // before the server is asked how often it has sent one
  ok(events <= (await asked("watcher")).filter((each) => each.status === 200).length, "and is no event");
  await context.close();
});

test("another element", async () => {
  const context = await visitor("line");
  const page = await open(context, "/line.html");
  ok(await eventually(() => page.evaluate(() => document.querySelectorAll("#who > span").length === 1), 9), "gets spans, as many as the address says");
  await context.close();
});

test("events alone", async () => {
  const context = await visitor("own");
  const page = await open(context, "/own.html");
  ok(await eventually(async () => (await heard(page, "online")).some(({ detail }) => detail.online.some((each) => each.name === "Ann")), 9), "for authors who draw it themselves");
  const silent = await open(context, "/none.html");
  await sleep(1);
  is((await heard(silent, "online")).length, 0, "and nothing where nobody asks for it");
  await context.close();
});

test("a hidden page", async () => {
  const context = await visitor("behind");
  const page = await open(context, "/list.html");
  await eventually(async () => (await asked("behind")).length);
  await hide(context);
  await sleep(1.2);
  const hidden = Date.now();
  await sleep(2.5);
  is((await asked("behind", hidden)).length, 0, "does not ask");
  const back = Date.now();
  await page.bringToFront();
  const first = await eventually(async () => (await asked("behind", back))[0]);
  ok(first?.time - back < 1500, "and asks at once when it is seen again", first?.time - back);
  await context.close();
});

test("after the timeout", async () => {
  const context = await visitor("gone");
  const page = await open(context, "/short.html");
  ok(await eventually(async () => (await heard(page, "timeout")).length, 6), "which comes");
  await sleep(0.3);
  const silent = Date.now();
  await sleep(2.2);
  is((await asked("gone", silent)).length, 0, "nobody asks");
  const back = Date.now();
  await page.keyboard.press("z");
  ok(await eventually(async () => (await asked("gone", back)).length), "before the human is back");
  await context.close();
});

await run();
