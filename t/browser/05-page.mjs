// What the script is to the page around it.
import { call, eventually, gaps, given, heard, is, measured, ok, open, pings, run, sleep, test, visitor, within } from "./browser.mjs";

const beats = (page, count = 1, seconds = 5) => eventually(async () => (await heard(page, "ping")).length >= count, seconds);

test("strict policies", async () => {
  const context = await visitor("strict");
  for (const kind of ["strict", "nonce"]) {
    const page = await open(context, `/${kind}/page.html`);
    ok(await beats(page), `${kind}: it pings`);
    is(page.workers().length, 1, `${kind}: with its Worker`);
    await page.close();
  }
  const without = await open(context, "/workless/off.html");
  ok(await beats(without), "without a Worker");
  is(without.workers().length, 0, "if the author says so");
  await without.close();
  const forbidden = await open(context, "/workless/page.html", [/Content Security Policy/]);
  ok(await beats(forbidden, 2), "or where the policy forbids it");
  await context.close();
});

test("delivery", async () => {
  const context = await visitor("delivery");
  const answers = [];
  const begun = Date.now();
  const page = await open(context, "/page.html");
  await beats(page);
  await page.goto("about:blank");
  page.on("response", (response) => answers.push(response));
  await page.goto(`${given.base}/page.html`);
  await beats(page);
  const asked = (await call("requests")).filter((each) => each.who === "delivery" && each.path === "/hb/client.js" && each.time >= begun);
  is(asked.filter((each) => each.query === "").length, 2, "each page view asks for its own part");
  is(asked.filter((each) => each.query !== "").length, 1, "the constant part is asked for once");
  const constant = answers.find((each) => each.url().includes("?c="));
  is(constant.headers()["content-encoding"], "br", "compressed with Brotli");
  await context.close();
});

test("two tags more", async () => {
  const context = await visitor("twice");
  const page = await open(context, "/twice.html");
  ok(await beats(page, 4, 9), "it pings");
  const steady = (some) => within(gaps(some), 500, 3000);
  const seen = await measured(steady, async () => {
    const begun = Date.now();
    await sleep(3.5);
    return pings("twice", begun);
  });
  ok(steady(seen), "once every interval", gaps(seen));
  is(page.workers().length, 1, "with one Worker");
  await context.close();
});

test("the API", async () => {
  const context = await visitor("api");
  const page = await open(context, "/later.html", [/a listener of the page/]);
  await sleep(1.5);
  is((await pings("api")).length, 0, "nothing before start()");
  is(await page.evaluate(() => window.heartbeat.ping()), 204, "but a ping by hand");
  await page.evaluate(() => {
    window.off = window.heartbeat.on("ping", () => { window.calls = (window.calls ?? 0) + 1; throw new Error("a listener of the page"); });
    window.heartbeat.start();
  });
  ok(await beats(page, 3), "start() starts, and a listener that throws harms nobody");
  const calls = await page.evaluate(() => { window.off(); return window.calls; });
  await page.evaluate(() => window.heartbeat.stop());
  await sleep(0.5); // one may have been on its way
  const stopped = Date.now();
  await sleep(2.5);
  is(await page.evaluate(() => window.calls), calls, "a listener that was taken off hears no more");
  is((await pings("api", stopped)).length, 0, "stop() stops");
  await page.evaluate(() => window.heartbeat.start());
  ok(await eventually(async () => (await pings("api", stopped + 2500)).length), "and start() starts again");
  await context.close();
});

test("the way back", async () => {
  const context = await visitor("back");
  const page = await open(context, "/page.html");
  await page.evaluate(() => {
    window.mark = "the same page";
    window.addEventListener("pageshow", ({ persisted }) => { window.persisted = persisted; });
  });
  ok(await beats(page), "it pings");
  await page.goto(page.url().replace("page.html", "plain.html"));
  const left = Date.now();
  await sleep(2);
  is((await pings("back", left + 100)).length, 0, "a page that was left does not");
  await page.goBack({ waitUntil: "commit" });
  const back = Date.now();
  const why = () => JSON.stringify(performance.getEntriesByType("navigation")[0].notRestoredReasons);
  ok(await page.evaluate(() => window.mark), "the back/forward cache has kept it", await page.evaluate(why));
  is(await page.evaluate(() => window.persisted), true, "as it says");
  ok(await eventually(async () => (await pings("back", back - 50))[0]?.time - back < 1000), "and it pings at once");
  await sleep(2.2);
  ok(within(gaps((await pings("back", back)).slice(1)), 850, 1150) || (await pings("back", back)).length < 3, "in its rhythm");
  await context.close();
});

test("every sign of a human", async () => {
  const context = await visitor("signs");
  const page = await open(context, "/page.html");
  const signs = {
    key: () => page.keyboard.press("b"),
    pointer: () => page.mouse.move(20, 20, { steps: 3 }),
    "a click without a move": () => page.mouse.down(),
    wheel: () => page.mouse.wheel(0, 5),
    "coming back to the tab": async () => { const other = await context.newPage(); await sleep(0.2); await page.bringToFront(); await other.close(); },
  };
  for (const [name, sign] of Object.entries(signs)) {
    await eventually(async () => !(await heard(page, "ping")).at(-1)?.detail.active);
    const done = Date.now();
    await sign();
    ok(await eventually(async () => (await heard(page, "ping")).some(({ at, detail }) => at > done && detail.active), 2.5), name);
  }
  await context.close();
});

test("a finger", async () => {
  const context = await visitor("finger", undefined, { hasTouch: true });
  const page = await open(context, "/page.html");
  const session = await context.newCDPSession(page);
  const touch = (type, ...points) => session.send("Input.dispatchTouchEvent", { type, touchPoints: points.map((y) => ({ x: 50, y })) });
  const idle = () => eventually(async () => (await heard(page, "ping")).at(-1)?.detail.active === false);
  for (const [name, sign] of [["that touches", () => touch("touchStart", 50)], ["that moves", async () => { for (let y = 52; y < 80; y += 2) await touch("touchMove", y); }]]) {
    ok(await idle(), "nobody is there");
    const done = Date.now();
    await sign();
    ok(await eventually(async () => (await heard(page, "ping")).some(({ at, detail }) => at > done && detail.active), 2.5), name);
  }
  await context.close();
});

test("after the machine has slept", async () => {
  const context = await visitor("asleep");
  const page = await open(context, "/slow.html");
  ok(await beats(page), "it pings");
  await page.evaluate(() => { const now = Date.now; Date.now = () => now() + 60_000; }); // its timers stood still
  const woken = Date.now();
  await page.keyboard.press("b");
  ok(await eventually(async () => (await pings("asleep", woken)).length, 2), "at once when the human is back");
  await context.close();
});

test("a page whose scripts come late", async () => {
  const context = await visitor("late");
  await context.route("**/record.js", async (route) => { await sleep(2); await route.continue(); });
  const page = await open(context, "/page.html");
  ok(await beats(page), "it pings");
  const [first] = await heard(page, "ping");
  is(first.detail.left, Number(new URLSearchParams((await pings("late"))[0].query).get("b")), "and they miss no event");
  await context.close();
});

test("a video that counts", async () => {
  const context = await visitor("video");
  const page = await open(context, "/video.html");
  await sleep(6);
  is((await heard(page, "timeout")).length, 0, "keeps the session while it plays");
  await page.evaluate(() => document.querySelector("video").pause());
  ok(await eventually(async () => (await heard(page, "timeout")).length, 6), "and no longer");
  await page.evaluate(() => void document.querySelector("video").play());
  ok(await eventually(async () => (await heard(page, "resume")).length), "until it plays again");
  await context.close();
  const wrong = await visitor("wrong");
  ok(await beats(await open(wrong, "/wrong.html"), 2), "a selector that is none throws nothing");
  await wrong.close();
});

await run();
