// A server that goes and comes back, a network that is lost.
import { call, eventually, heard, is, ok, open, pings, run, sleep, test, visitor } from "./browser.mjs";

const NETWORK = [/net::ERR_/]; // the browser itself writes that to the console

test("a network that is lost", async () => {
  const context = await visitor("offline");
  const page = await open(context, "/slow.html");
  await eventually(async () => (await heard(page, "ping")).length);
  await context.setOffline(true);
  await eventually(async () => (await heard(page, "wait")).length);
  const [lost] = await heard(page, "wait");
  is(lost.detail.status, 0, "is noticed");
  await sleep(0.2);
  const back = Date.now();
  await context.setOffline(false);
  const next = await eventually(async () => (await pings("offline", back))[0]);
  ok(next?.time - back < 500, "and at its return there is a ping at once", next?.time - back);
  await context.close();

  const other = await visitor("restarted");
  const survivor = await open(other, "/page.html", NETWORK);
  await eventually(async () => (await heard(survivor, "ping")).length);
  await call("stop");
  ok(await eventually(async () => (await heard(survivor, "wait")).some(({ detail }) => detail.status === 0)), "a server that is gone is noticed");
  await sleep(2);
  await call("start");
  const up = Date.now();
  const first = await eventually(async () => (await heard(survivor, "ping")).find(({ at, detail }) => at >= up && detail.status === 204));
  ok(first?.at - up < 1300, "and found again within an interval", first?.at - up);
  await other.close();
});

await run();
