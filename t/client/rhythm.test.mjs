// When to beat, with a clock and a chance that the test turns by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createRhythm } from "../../shared/client/rhythm.js";

const SETTINGS = { interval: 30_000, idle: 600_000, budget: 20 };
const START = 10_000_000;
const begun = (settings = {}, chance = 0) => {
  const rhythm = createRhythm({ ...SETTINGS, ...settings }, () => chance);
  rhythm.start(START);
  return rhythm;
};
// A ping that is answered at once.
const beat = (rhythm, now, status = 204, seconds = 0) => {
  const says = rhythm.pinging(now);
  return { ...says, wait: rhythm.answered(now, status, seconds) };
};

test("a start is spread over a tenth of the interval, three seconds at the most", () => {
  assert.equal(begun().next().at, START + 50);
  assert.equal(begun({}, 1).next().at, START + 50 + 3000);
  assert.equal(begun({ interval: 2000 }, 0.5).next().at, START + 50 + 100);
});

test("pings come every interval, whatever the time an answer takes", () => {
  const rhythm = begun();
  rhythm.pinging(START);
  rhythm.answered(START + 9000, 204, 0);
  assert.deepEqual(rhythm.next(), { at: START + 30_000, ping: true });
});

test("an idle tab: the budget, then the timeout, then nothing", () => {
  const rhythm = begun({ idle: 100_000, budget: 3 });
  const said = [];
  for (let next = rhythm.next(); next.ping; next = rhythm.next()) said.push(beat(rhythm, next.at).left);
  assert.deepEqual(said, [2, 1, 0]);
  assert.deepEqual(rhythm.next(), { at: START + 100_000, ping: false });
  rhythm.known.state = "timeout";
  assert.equal(rhythm.next(), undefined);
});

test("no ping comes at or after the timeout", () => {
  const rhythm = begun({ idle: 60_000, budget: 20 });
  beat(rhythm, START);
  beat(rhythm, START + 30_000);
  assert.deepEqual(rhythm.next(), { at: START + 60_000, ping: false });
});

test("whoever sleeps through the timeout does not ping when it wakes", () => {
  const rhythm = begun();
  beat(rhythm, START);
  assert.deepEqual(rhythm.next(START + 599_999), { at: START + 30_000, ping: true });
  assert.deepEqual(rhythm.next(START + 600_000), { at: START + 600_000, ping: false });
});

test("a clock that is set back delays nothing by more than an interval", () => {
  const rhythm = begun();
  beat(rhythm, START + 100);
  rhythm.clock(START + 200);
  assert.equal(rhythm.next().at, START + 30_100);
  const back = START - 3_600_000;
  rhythm.clock(back);
  assert.deepEqual(rhythm.next(), { at: back + 30_000, ping: true });
  rhythm.human(back + 1);
  assert.equal(rhythm.known.active, back + 1, "a human counts again");
});

test("a human fills the budget and moves the timeout", () => {
  const rhythm = begun();
  assert.deepEqual(beat(rhythm, START + 100), { active: true, left: 19, wait: 0 });
  assert.deepEqual(beat(rhythm, START + 30_000), { active: false, left: 18, wait: 0 });
  assert.equal(rhythm.human(START + 40_000), false);
  assert.deepEqual(beat(rhythm, START + 60_000), { active: true, left: 19, wait: 0 });
  for (let now = START + 90_000; rhythm.next().ping; now = rhythm.next().at) beat(rhythm, now);
  assert.equal(rhythm.next().at, START + 640_000);
});

test("a human ends a timeout at once", () => {
  const rhythm = begun();
  rhythm.known.state = "timeout";
  assert.equal(rhythm.human(START + 9_000_000), true);
  assert.deepEqual(rhythm.next(), { at: START + 9_000_000, ping: true });
  assert.equal(rhythm.human(START + 9_000_001), false);
});

test("refused: expired, and a human does not change that", () => {
  for (const status of [401, 403]) {
    const rhythm = begun();
    beat(rhythm, START, status);
    assert.equal(rhythm.known.state, "expired");
    assert.equal(rhythm.human(START + 1000), false);
    assert.equal(rhythm.next(), undefined);
    beat(rhythm, START + 2000);
    assert.equal(rhythm.known.state, "beating", "a ping by hand that is taken starts it again");
  }
});

test("a stopped one stays stopped, whatever is answered or said", () => {
  const rhythm = begun();
  rhythm.pinging(START);
  rhythm.known.state = "stopped";
  rhythm.answered(START + 1, 403, 0);
  assert.equal(rhythm.merge({ state: "beating", active: START + 5 }, START + 5), undefined);
  assert.equal(rhythm.known.state, "stopped");
});

test("429 and 503: not before Retry-After, and less often without one", () => {
  for (const status of [429, 503]) {
    const rhythm = begun();
    assert.equal(beat(rhythm, START, status, 120).wait, 120_000);
    assert.equal(rhythm.next().at, START + 120_000);
    assert.equal(beat(rhythm, START, status, 1).wait, 30_000, "never more often than it would");
    const waits = [1, 2, 3, 4, 5, 6, 7, 8].map(() => beat(rhythm, START, status).wait / 30_000);
    assert.deepEqual(waits, [8, 16, 32, 64, 64, 64, 64, 64]);
    beat(rhythm, START);
    assert.equal(beat(rhythm, START, status).wait, 60_000, "an answer that is good forgets all that");
  }
  assert.equal(beat(begun({}, 1), START, 503, 100).wait, 110_000, "spread, so that not all come back together");
});

test("no answer: again after one second, two, four, never less often than the interval, and it costs no budget", () => {
  const rhythm = begun();
  let now = START;
  const waits = [];
  for (let i = 0; i < 8; ++i, now = rhythm.next().at) waits.push(beat(rhythm, now, 0).wait);
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  assert.equal(rhythm.known.left, 20);
});

test("the network is back: at once, but only for those who were cut off", () => {
  const rhythm = begun();
  beat(rhythm, START);
  rhythm.reachable(START + 10);
  assert.equal(rhythm.next().at, START + 30_000);
  beat(rhythm, START + 30_000, 0);
  rhythm.reachable(START + 30_010);
  assert.equal(rhythm.next().at, START + 30_010);
});

test("of two tabs one beats, the other is ready to take over within a tenth of the interval", () => {
  const one = begun();
  const two = begun({}, 0.999);
  beat(one, START);
  assert.equal(two.merge(one.facts(), START), undefined);
  const late = two.next().at - one.next().at;
  assert.ok(late > 0 && late < 3000, `${late}`);
  for (let i = 0; i < 5; ++i) {
    beat(one, one.next().at);
    two.merge(one.facts(), one.known.pinged);
    one.merge(two.facts(), one.known.pinged); // what it hears of itself moves nothing
    assert.equal(one.next().at, one.known.pinged + 30_000);
    assert.equal(two.next().at - one.next().at, late);
  }
});

test("a human in one tab is one in all", () => {
  const one = begun();
  const two = begun();
  for (const tab of [one, two]) tab.known.state = "timeout";
  one.human(START + 700_000);
  assert.equal(two.merge(one.facts(), START + 700_001), "resume");
  assert.ok(two.next().at > one.next().at, "and the one with the human beats");
  assert.equal(two.known.active, START + 700_000);
});

test("when one expires the others ask for themselves, at once, and come back together when one is let in again", () => {
  const one = begun();
  const two = begun();
  beat(one, START + 1000, 403);
  assert.equal(two.merge(one.facts(), START + 1000), undefined, "its own token may be good");
  assert.ok(two.next().ping && two.next().at < START + 1000 + 3000, `${two.next().at - START}`);
  beat(two, START + 1500, 403);
  assert.equal(two.known.state, "expired");
  assert.equal(two.merge(one.facts(), START + 1600), undefined);
  const three = begun();
  assert.equal(two.merge(three.facts(), START + 2000), undefined, "a new tab is no proof");
  beat(three, START + 3000);
  assert.equal(two.merge(three.facts(), START + 3000), "resume");
  assert.ok(two.next().at > START + 33_000);
});

test("others wait as long as the server told the one that beats", () => {
  const one = begun();
  const two = begun();
  one.pinging(START);
  two.merge(one.facts(), START);
  one.answered(START + 10, 503, 300);
  two.merge(one.facts(), START + 10);
  assert.ok(two.next().at >= START + 300_000);
});

test("a tab that gives way asks again soon", () => {
  const rhythm = begun();
  rhythm.yieldTo(START);
  assert.equal(rhythm.next().at, START + 900);
  rhythm.pinging(START + 900);
  rhythm.yieldTo(START + 901);
  assert.equal(rhythm.next().at, START + 30_900, "unless its next ping is far off");
});
