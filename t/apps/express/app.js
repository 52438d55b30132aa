// An application with express-session and connect-redis: /login?name=WORD, /who, /logout.
// Its environment: PORT, REDIS (a URL), TTL (seconds), NODE_PATH (where its modules are).
"use strict";
const express = require("express");
const session = require("express-session");
const { RedisStore } = require("connect-redis");
const { createClient } = require("redis");

const client = createClient({ url: process.env.REDIS });
client.on("error", () => {});
client.connect();

const app = express();
const store = new RedisStore({ client, ttl: Number(process.env.TTL) });
app.use(session({ store, secret: "a secret of the tests", resave: false, saveUninitialized: false }));

app.get("/login", (request, response) => {
  request.session.name = request.query.name;
  response.send(request.session.name);
});
app.get("/who", (request, response) => response.send(request.session.name ?? "nobody"));
app.get("/logout", (request, response) => request.session.destroy(() => response.send("gone")));

app.listen(Number(process.env.PORT), "127.0.0.1");
