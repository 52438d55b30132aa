// The client, loaded by the loader; and the same file is the Worker that keeps time for it.
import { serveAlarms } from "./alarm.js";
import { createHeartbeat } from "./heartbeat.js";

if (typeof document === "undefined") {
  serveAlarms();
} else {
  const script = document.currentScript;
  const { settings, data, tell, ready, items } = script.heartbeat;
  const client = createHeartbeat(settings, script.src, tell);
  const begins = data.start !== "off";
  items.push = client.record; // from now on
  items.forEach(client.record);
  client.configure(data);
  const once = (name, then) => document.addEventListener(name, then, { once: true });
  const begin = () => {
    if (begins) client.start();
    ready(client);
  };
  // In a task of its own, so that neither is long; and not before the page's scripts could say what they want to hear,
  // for another tab may have news at once.
  const soon = () => setTimeout(begin);
  const open = () => {
    if (begins) client.speak(); // at once: the page may be left before it is ready
    if (performance.getEntriesByType("navigation")[0]?.domContentLoadedEventStart === 0) once("DOMContentLoaded", soon);
    else soon();
  };
  if (document.prerendering) once("prerenderingchange", open);
  else open();
}
