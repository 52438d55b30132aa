"use strict";
// The demonstration page: what `heartbeat` tells, made visible.
const at = (id) => document.getElementById(id);
const show = (id, text) => { at(id).textContent = text; };

const STATES = {
  here: "You are here.",
  idle: "Nobody at the keyboard: the pings go on for a while.",
  timeout: "You were away for too long: nothing is sent any more. Move the mouse.",
  expired: "The server refuses this session.",
  silent: "The server does not answer.",
};
const state = (name) => {
  at("state").dataset.state = name;
  show("state", STATES[name]);
};

let pings = 0;
heartbeat.on("ping", ({ status, active, left }) => {
  if (status !== 204) return;
  show("pings", ++pings);
  show("left", left);
  show("last", new Date().toLocaleTimeString());
  state(active ? "here" : "idle");
  at("beat").classList.add("on");
  setTimeout(() => at("beat").classList.remove("on"), 200);
});
heartbeat.on("wait", () => state("silent"));
heartbeat.on("timeout", () => state("timeout"));
heartbeat.on("expired", () => state("expired"));
heartbeat.on("resume", () => state("here"));
heartbeat.on("online", ({ count, users }) => {
  show("count", `${count} ${count === 1 ? "session" : "sessions"}, ${users} with a name`);
});
state("here");

// --- what an application would do ---

const [, session] = document.cookie.match(/(?:^|; )hb=([^;]+)/) ?? [];
show("session", session);
show("command", `redis-cli -p 6379 HGETALL 'hb:{demo}:session:${session}'`);
fetch("/hb/ping", { method: "HEAD" }).then((answer) => show("server", answer.headers.get("Server") ?? "unknown"), () => {});

at("who").addEventListener("submit", (event) => {
  event.preventDefault();
  const user = at("name").value.trim();
  if (user) fetch("/hb/beat", { method: "POST", body: new URLSearchParams({ user, page: location.pathname }) }).catch(() => {});
});
window.addEventListener("pagehide", () => {
  navigator.sendBeacon("/hb/beat", JSON.stringify({ leave: true }));
});

// --- what the page has to say ---

const came = Date.now();
show("beacons", "redis-cli -p 6379 XREVRANGE 'hb:{demo}:beacons' + - COUNT 2");
document.addEventListener("click", ({ target }) => {
  heartbeat.record({ click: target.textContent.trim().slice(0, 40) });
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) heartbeat.record({ seconds: Math.round((Date.now() - came) / 1000) });
});

// --- the auditor ---

const time = (ms) => {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
};

async function audit() {
  if (document.hidden) return;
  const answer = await fetch("/hb/audit?format=json");
  if (!answer.ok) return;
  const rows = (await answer.json()).users.map(({ user, active_ms, open_ms }) => {
    const row = document.createElement("tr");
    for (const text of [user, time(active_ms), time(open_ms)]) row.insertCell().textContent = text;
    return row;
  });
  if (rows.length) at("audit").replaceChildren(...rows);
}
setInterval(() => audit().catch(() => {}), 3000);
