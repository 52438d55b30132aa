// What the scripts here share: Chromium as people have it, pages whose console is watched, and the way to the test in
// Perl that started the servers.
import { AsyncLocalStorage } from "node:async_hooks";
import { spawn } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";

const driver = fileURLToPath(new URL("../../build/browser/node_modules/playwright-core", import.meta.url));
const require = createRequire(import.meta.url);
const { CRSession } = require(`${driver}/lib/server/chromium/crConnection.js`);
const { chromium, _bidiFirefox: firefox } = require(driver);

// Playwright makes every page believe that it is in front: then nothing is ever hidden.
const send = CRSession.prototype.send;
CRSession.prototype.send = function (method, words) {
  return method === "Emulation.setFocusEmulationEnabled" ? Promise.resolve({}) : send.call(this, method, words);
};

export const given = JSON.parse(process.env.HEARTBEAT_BROWSER);
export const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const say = (words) => process.stdout.write(`${JSON.stringify(words)}\n`);

// --- the test in Perl ---

const answers = [];
createInterface({ input: process.stdin })
  .on("line", (line) => answers.shift()(JSON.parse(line)))
  .on("close", () => process.exit(1)); // the test has ended
export function call(name, ...words) {
  say({ call: name, words });
  return new Promise((done) => answers.push(done));
}

const current = new AsyncLocalStorage(); // the name of the test that runs
export function ok(good, name, diag) {
  say({ ok: Boolean(good), name: `${current.getStore()}: ${name}`, diag: good ? undefined : JSON.stringify(diag) });
  return good;
}
export const is = (got, expected, name) => ok(Object.is(got, expected), name, { got, expected });

/** Until it is true, for so many seconds at the most. Resolves to its last value. */
export async function eventually(condition, seconds = 5) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value || Date.now() > end) return value;
    await sleep(0.05);
  }
}

/** What the server was asked by a visitor since a time, at one path. */
export async function pings(who, since = 0, path = "/hb/ping") {
  return (await call("requests")).filter((each) => each.who === who && each.path === path && each.time >= since);
}

// --- the browser ---

// And it switches off slow timers in hidden pages, and the back/forward cache.
const UNWANTED = ["--disable-back-forward-cache", "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding"];
// The server's certificate is as good as any: a browser that has to ask whether to take it, while the page is gone, loses
// what is on its way, and does not bring the page back.
const key = given.certificate && new X509Certificate(readFileSync(given.certificate)).publicKey.export({ type: "spki", format: "der" });
const known = key ? [`--ignore-certificate-errors-spki-list=${createHash("sha256").update(key).digest("base64")}`] : [];
const options = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  ignoreDefaultArgs: UNWANTED,
  args: ["--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1", ...known],
};
const launched = given.browser === "firefox"
  ? await firefox.launch({ executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr" })
  : await chromium.launch(options);

const errors = [];
/** A visitor: cookies, and what is stored, of its own. */
export async function visitor(session, base = given.base, more = {}) {
  const context = await launched.newContext({ ignoreHTTPSErrors: !key || given.browser === "firefox", ...more });
  if (session) await context.addCookies([{ name: "hb", value: session, url: base }]);
  return context;
}

/** One whose browser sends cookies from the frames of other sites; the others, as Chromium does by default, do not. */
export async function permissive() {
  const profile = mkdtempSync(`${given.profile}/profile-`);
  mkdirSync(`${profile}/Default`);
  writeFileSync(`${profile}/Default/Preferences`, JSON.stringify({ profile: { cookie_controls_mode: 0, block_third_party_cookies: false } }));
  return chromium.launchPersistentContext(profile, options);
}

/** A browser of its own, to be closed or killed: {context, kill, profile}. With `window: true` it is as people have it: it
    ends when its last page is closed. With a `profile` it is the one that was there before, started again. What its pages
    write to the console stands in chrome_debug.log there. */
export async function alone({ window, profile = mkdtempSync(`${given.profile}/profile-`) } = {}) {
  const seen = window ? { headless: false, env: { ...process.env, DISPLAY: await screen() } } : {};
  const context = await chromium.launchPersistentContext(profile, { ...options, ...seen, args: [...options.args, "--enable-logging"] });
  const words = (pid) => { try { return readFileSync(`/proc/${pid}/cmdline`, "utf8"); } catch { return ""; } };
  const mine = readdirSync("/proc").filter((pid) => words(pid).includes(`--user-data-dir=${profile}\0`) && !words(pid).includes("--type="));
  return { context, profile, kill: (signal) => mine.forEach((pid) => process.kill(Number(pid), signal)) };
}

/** A screen for one browser, with which it ends. Resolves to its name. */
async function screen() {
  const server = spawn("Xvfb", ["-displayfd", "3", "-screen", "0", "1024x768x24", "-terminate"], { stdio: ["ignore", "ignore", "ignore", "pipe"] });
  const [number] = await once(server.stdio[3], "data");
  return `:${String(number).trim()}`;
}

/** A page of a visitor, open at a path. Every event of the script is kept in window.events. `expected` are errors that the
    browser itself will write to the console. */
export async function open(context, path, expected = [], base = given.base) {
  const page = await context.newPage();
  const note = (text) => expected.some((each) => each.test(text)) || errors.push(`${path}: ${text}`);
  page.on("console", (message) => message.type() === "error" && note(message.text()));
  page.on("pageerror", (error) => note(String(error)));
  await page.goto(base + path, { waitUntil: "domcontentloaded" });
  return page;
}

/** What the page has heard of an event, as [{name, detail, at}]. Without a name: of all. */
export const heard = (page, name) => page.evaluate((only) => window.events.filter((each) => !only || each.name === only), name);

/** Another tab comes before those of a visitor; page.bringToFront() undoes that. */
export async function hide(context) {
  const front = await context.newPage();
  await front.bringToFront();
  return front;
}

/** Pings that are this far apart, in ms. */
export const gaps = (seen) => seen.slice(1).map((each, i) => Math.round(each.time - seen[i].time));
export const within = (numbers, low, high) => numbers.length > 0 && numbers.every((each) => each >= low && each <= high);
/** Measures until what was measured is good, a few times at the most: a machine that has too much to do delays anything.
    What does not keep its rhythm never does. */
export async function measured(good, measure) {
  let seen = await measure();
  for (let again = 0; again < 4 && !good(seen); ++again) seen = await measure();
  return seen;
}
/** Connections that were used. */
export const connections = (seen) => new Set(seen.map((each) => each.port)).size;
/** A human at the mouse, for so many seconds. */
export async function busy(page, seconds) {
  const end = Date.now() + seconds * 1000;
  for (let x = 1; Date.now() < end; ++x) {
    await page.mouse.move(10 + (x % 50), 10);
    await sleep(0.2);
  }
}

/** How much processor time the script took in a page, in ms for each task: {count, longest, total}; and how often the
    browser had to lay it out anew. */
export async function trace(page, body) {
  const client = await page.context().newCDPSession(page);
  const events = [];
  client.on("Tracing.dataCollected", ({ value }) => events.push(...value));
  const done = new Promise((ended) => client.once("Tracing.tracingComplete", ended));
  await client.send("Tracing.start", { traceConfig: { includedCategories: ["devtools.timeline"] }, transferMode: "ReportEvents" });
  await body();
  await client.send("Tracing.end");
  await done;
  const ours = events.filter(({ name, args }) => /^(FunctionCall|EvaluateScript|v8.compile)$/.test(name) && args.data?.url?.includes("/hb/"));
  const times = ours.map(({ name, tdur }) => ({ name, time: (tdur ?? 0) / 1000 })).sort((a, b) => b.time - a.time);
  return { count: times.length, longest: times[0]?.time, total: times.reduce((sum, { time }) => sum + time, 0), times: times.slice(0, 8), layouts: events.filter(({ name }) => name === "Layout").length };
}

const tests = [];
export const test = (name, body) => tests.push(() => current.run(name, () => inTime(body).catch((error) => ok(false, "an error", error.stack))));
let limit = 90; // seconds for one test: a browser that hangs must not keep the others waiting
const inTime = (body) => Promise.race([body(), sleep(limit).then(() => { throw new Error("it takes too long"); })]);

/** Runs the tests, four side by side, each with visitors of its own, and ends. */
export async function run(options = {}) {
  limit = options.limit ?? limit;
  const next = async () => { for (let each = tests.shift(); each; each = tests.shift()) await each(); };
  await Promise.all(Array.from({ length: options.lanes ?? 4 }, next));
  current.run("all pages", () => ok(errors.length === 0, "no error in the console", errors));
  await Promise.race([launched.close(), sleep(10)]);
  say({ ended: true });
  process.exit(0);
}
