// The demonstration, as its visitors use it.
import { busy, eventually, given, ok, open, run, test, visitor } from "./browser.mjs";

async function come(name) {
  const page = await open(await visitor(), "/");
  await page.fill("#name", name);
  await page.click("#who button");
  return page;
}
const text = (page, selector) => page.textContent(selector);
const shows = (page, selector, part, seconds = 20) => eventually(async () => (await text(page, selector)).includes(part), seconds);

test("two visitors", async () => {
  const [ann, bob] = [await come("Ann"), await come("<b>Bob</b>")];
  ok(await shows(ann, "#online", "Ann") && await shows(ann, "#online", "<b>Bob</b>"), "see each other, names as text");
  ok(await shows(bob, "#online", "Ann"), "both of them");
  ok((await text(ann, "#server")).includes(given.name), "and by whom it is served");
  await busy(ann, 6);
  ok(await shows(ann, "#state", "You are here"), "the page says so");
  ok(await shows(ann, "#audit", "Ann"), "the auditor sees both");
  await bob.close();
  ok(await eventually(async () => !(await text(ann, "#online")).includes("Bob"), 30), "and who has left");
  await ann.context().close();
});

test("nobody at the keyboard", async () => {
  const page = await come("Cid");
  ok(await shows(page, "#state", "nothing is sent any more", 50), "the page gives up");
  await page.mouse.move(200, 200);
  await page.mouse.move(210, 210);
  ok(await shows(page, "#state", "You are here"), "until the human is back");
  await page.context().close();
});

test("a page of http", async () => {
  const page = await open(await visitor(), "/mixed.html");
  ok(await shows(page, "#state", "Alive", 20), "keeps a session of an https site");
  await page.context().close();
});

await run();
