"use strict";
// A page of http that keeps a session of an https site. Such pages name that site in the tag, as `data-frame`; this one
// has to find out which port it has.
const at = (id) => document.getElementById(id);
const show = (id, text) => { at(id).textContent = text; };
const STATES = {
  alive: ["here", "Alive."],
  none: ["idle", "There is none yet: the cookie comes with this answer."],
  refused: ["expired", "Refused."],
  silent: ["silent", "No answer."],
};
const state = (name) => {
  const [color, text] = STATES[name] ?? STATES.silent;
  at("state").dataset.state = color;
  show("state", text);
};

const https = { 8080: 8443, 8081: 8444 }[location.port];
const page = `https://${location.hostname}:${https}/hb/page`;
at("secure").href = `https://${location.hostname}:${https}/hb/online?format=html`;

const tag = document.createElement("script");
tag.src = "/hb/client.js";
tag.dataset.frame = page;
tag.onload = () => {
  let pings = 0;
  heartbeat.on("ping", (answer) => {
    if (answer.status === 200) show("pings", ++pings);
    show("last", new Date().toLocaleTimeString());
    state(answer.state ?? "silent");
  });
};
document.head.append(tag);
