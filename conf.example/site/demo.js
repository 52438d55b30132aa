"use strict";
// The demonstration page: a session cookie, a ping every two seconds, a name if you like, and who else is here.
const show = (id, text) => { document.getElementById(id).textContent = text; };

const known = document.cookie.match(/(?:^|; )hb=([^;]+)/);
const session = known ? known[1] : "visitor-" + crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
document.cookie = `hb=${session}; path=/; max-age=86400; SameSite=Lax`;
show("session", session);
show("command", `redis-cli -p 6379 ZSCORE 'hb:{demo}:seen' ${session}`);

let pings = 0;
let timer = 0;

async function ping() {
  try {
    const answer = await fetch("/hb/ping?a=1", { method: "HEAD", referrerPolicy: "no-referrer" });
    if (answer.status !== 204) throw new Error(answer.status);
    show("server", answer.headers.get("Server") ?? "unknown");
    show("pings", ++pings);
    show("last", new Date().toLocaleTimeString());
    document.getElementById("beat").classList.add("on");
    setTimeout(() => document.getElementById("beat").classList.remove("on"), 200);
  } catch (error) {
    show("last", `no answer (${error.message})`);
  }
}

function toggle() {
  if (timer) clearInterval(timer);
  timer = timer ? 0 : setInterval(ping, 2000);
  document.getElementById("toggle").textContent = timer ? "Stop pinging" : "Ping again";
  if (timer) ping();
}

async function beat(fields) {
  await fetch("/hb/beat", { method: "POST", body: new URLSearchParams({ page: location.pathname, ...fields }) });
}

let tag = "";
async function who() {
  const answer = await fetch("/hb/online", { cache: "no-store", headers: tag ? { "If-None-Match": tag } : {} });
  if (answer.status !== 200) return;
  tag = answer.headers.get("ETag") ?? "";
  const { count, users, online } = await answer.json();
  show("count", `${count} ${count === 1 ? "session" : "sessions"}, ${users} with a name`);
  const items = online.map(({ name, active }) => {
    const item = document.createElement("li");
    item.textContent = active ? name : `${name} (idle)`;
    return item;
  });
  document.getElementById("online").replaceChildren(...items);
}

document.getElementById("who").addEventListener("submit", (event) => {
  event.preventDefault();
  const user = document.getElementById("name").value.trim();
  if (user) beat({ user });
});
window.addEventListener("pagehide", () => {
  navigator.sendBeacon("/hb/beat", JSON.stringify({ leave: true }));
});
setInterval(() => who().catch(() => {}), 1000);

window.addEventListener("message", (event) => {
  if (event.origin === location.origin && event.data?.type === "heartbeat") show("page", event.data.state);
});
document.querySelector("iframe").src = "/hb/page"; // now that there is a session
document.getElementById("toggle").addEventListener("click", toggle);
toggle();
