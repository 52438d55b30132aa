// A long form, filled in and abandoned.
import { call, eventually, given, heard, is, ok, open, run, sleep, test, visitor } from "./browser.mjs";

const MINUTE = 1000; // ms
const FORGOTTEN = 5; // minutes after which PHP forgets a session
const IDLE = 6; // minutes without a human after which the script stops

async function at(path, name) {
  const context = await visitor();
  await context.addCookies([{ name: "PHPSESSID", value: await call("login", name), url: given.base }]);
  return open(context, path);
}

// Types a word, thinks, types on. Resolves to the minute in which the session was found dead; undefined: it lives.
async function write(page, name, minutes) {
  const begun = Date.now();
  for (let words = 1; Date.now() - begun < minutes * MINUTE; ++words) {
    await page.type("#story", `word ${words} `);
    await sleep([0.4, 1.2, 2.5][words % 3]);
    if (!(await call("alive", name))) return (Date.now() - begun) / MINUTE;
  }
  return undefined;
}

test("with the script", async () => {
  const page = await at("/form.html", "Ann");
  is(await write(page, "Ann", 20), undefined, "never logged out while typing");
  is(await call("who", "Ann"), "Ann", "PHP still knows who it is");
  const away = Date.now();
  await page.keyboard.press("Tab");
  ok(await eventually(async () => (await heard(page, "timeout")).length, 15), "then the script stops");
  ok(await eventually(async () => !(await call("alive", "Ann")), 15), "and the session ends");
  const minutes = (Date.now() - away) / MINUTE;
  ok(minutes > IDLE - 2 + FORGOTTEN && minutes < IDLE + FORGOTTEN + 3, "on time", minutes);
  is(await call("who", "Ann"), "nobody", "PHP has forgotten");
  await page.context().close();
});

test("without the script", async () => {
  const page = await at("/alone.html", "Bob");
  const minutes = await write(page, "Bob", 12);
  ok(minutes > FORGOTTEN - 1, "logged out while typing", minutes);
  await page.context().close();
});

await run();
