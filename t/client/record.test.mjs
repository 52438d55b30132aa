// What a page view has to say, in numbered batches.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createRecord } from "../../shared/client/record.js";

const recorded = (most, ...items) => {
  const record = createRecord(most, () => {});
  for (const item of items) record.add(JSON.stringify(item));
  return record;
};
const said = (record) => record.batches.map(({ query: { n, ...more }, text }) => [n, Object.entries(more).join(" "), text]);
// What the server's side has to do: the texts that belong together, joined.
const merged = (batches) => {
  let text = "";
  return batches.flatMap((batch) => {
    text += batch.text;
    if (batch.query.c) return [];
    const items = JSON.parse(text);
    text = "";
    return items;
  });
};

test("items become a batch when it is cut, each with a number of its own", () => {
  const record = recorded(100, { a: 1 }, "two");
  assert.deepEqual(said(record), []);
  record.cut("load");
  record.add("3");
  record.cut("hidden", true);
  assert.deepEqual(said(record), [[0, "e,load", '[{"a":1},"two"]'], [1, "e,hidden f,1", "[3]"]]);
  assert.equal(record.next, 2);
});

test("without items a batch is empty", () => {
  const record = recorded(100);
  record.cut("load");
  assert.deepEqual(said(record), [[0, "e,load", "[]"]]);
});

test("a batch is never larger than it may be, and as large as it can", () => {
  const record = recorded(10, 1234, 5678, 9);
  assert.deepEqual(said(record), [[0, "e,more", "[1234]"]]);
  record.cut("more");
  assert.equal(record.batches[1].text, "[5678,9]");
  assert.deepEqual(said(recorded(10, 123, 5678, 9)), [[0, "e,more", "[123,5678]"]]);
});

test("an item that is larger goes on in the next batches", () => {
  const long = "x".repeat(25);
  const record = recorded(10, 1, long, 2);
  record.cut("leave", true);
  assert.deepEqual(said(record).map(([n, words, text]) => [n, words, text.length]),
    [[0, "e,more", 3], [1, "e,more c,1", 10], [2, "e,more c,1", 10], [3, "e,more", 9], [4, "e,leave f,1", 3]]);
  assert.deepEqual(merged(record.batches), [1, long, 2]);
});

test("any text comes out as it went in, as ASCII", () => {
  const items = ["ÿ\u0000\u007f\u2028é", "日本語", "😀".repeat(9), "\ud800", "\"\\"];
  const record = recorded(20, ...items);
  record.cut("leave", true);
  assert.ok(record.batches.every(({ text }) => text.length <= 20 && /^[\0-\x7f]*$/.test(text)));
  assert.deepEqual(merged(record.batches), items);
});

test("what lies ahead is what cutting gives, and changes nothing", () => {
  const record = recorded(10, 1);
  const ahead = record.ahead("leave", true);
  assert.deepEqual(record.open, ["1"]);
  record.cut("leave", true);
  assert.deepEqual(record.batches, ahead);
});

test("there are news while items are open, or the end was not said", () => {
  const record = recorded(100);
  assert.ok(record.news());
  record.cut("load");
  assert.ok(record.news());
  record.cut("hidden", true);
  assert.ok(!record.news());
  record.add("1");
  assert.ok(record.news());
  record.cut("more");
  assert.ok(record.news());
});

test("whoever arms batches hears of every number that has got what it holds", () => {
  let changes = 0;
  const record = createRecord(10, () => ++changes);
  record.add("1234");
  assert.equal(changes, 0);
  record.add("567890");
  assert.equal(changes, 1);
  record.cut("more");
  assert.equal(changes, 2);
});

test("it ends before the server's limit of a thousand numbers, and leaving can still be said", () => {
  const record = recorded(10);
  let taken = 0;
  while (record.add('"123456"')) ++taken;
  assert.ok(taken > 900 && record.next > 900);
  record.cut("leave", true);
  assert.ok(record.batches.at(-1).query.n < 1000);
  assert.equal(record.batches.at(-1).query.f, 1);
  for (let more = 0; more < 100; ++more) record.cut("resume");
  assert.ok(record.batches.at(-1).query.n < 1000);
  assert.equal(recorded(10).add(JSON.stringify("x".repeat(10_000))), false, "one item that needs more than all of them");
});

test("when nobody wants it, nothing is taken or said any more", () => {
  const record = recorded(100, 1);
  record.cut("load");
  record.end();
  assert.equal(record.add("1"), false);
  record.cut("resume");
  assert.deepEqual(record.batches, []);
  assert.ok(!record.news());
});
