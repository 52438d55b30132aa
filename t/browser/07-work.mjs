// What the script costs the page.
import { busy, heard, ok, open, run, test, trace, visitor } from "./browser.mjs";

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

await run();
