// What tabs must have in common to beat for each other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { identity } from "../../shared/client/tabs.js";

const token = (claims) => `x.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.y`;

test("the endpoint, and the session that a token says", () => {
  assert.equal(identity("https://a/hb/ping"), identity("https://a/hb/ping", undefined));
  assert.notEqual(identity("https://a/hb/ping"), identity("https://b/hb/ping"));
  assert.equal(identity("a", token({ sid: "s", exp: 1 })), identity("a", token({ sid: "s", exp: 2, sub: "x" })));
  assert.notEqual(identity("a", token({ sid: "s" })), identity("a", token({ sid: "t" })));
  assert.equal(identity("a", token({ sub: "u", exp: 1 })), identity("a", token({ sub: "u", exp: 2 })));
  assert.notEqual(identity("a", token({ exp: 1 })), identity("a", token({ exp: 2 })), "who says nothing is for itself");
  assert.equal(identity("a", token({ sid: "ÿþ?>~" })), identity("a", token({ sid: "ÿþ?>~", exp: 3 })));
});

test("what is no token stands for itself", () => {
  for (const text of ["", "x", "a.b", "a.!!.c", "a.bnVsbA.c"]) assert.equal(identity("a", text), identity("a", text));
  assert.notEqual(identity("a", "one"), identity("a", "two"));
});
