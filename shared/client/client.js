// The client, loaded by the loader; and the same file is the Worker that keeps time for it.
import { serveAlarms } from "./alarm.js";
import { Heartbeat } from "./heartbeat.js";

if (typeof document === "undefined") {
  serveAlarms();
} else {
  const script = document.currentScript;
  const link = script.heartbeat;
  const { settings, base, data, tell, ready, items } = link;
  const client = new Heartbeat({ settings, base, own: script.src, nonce: script.nonce, tell });
  const begins = data.start !== "off";
  link.items = { push: (item) => client.record(item) };
  for (const item of items) client.record(item);
  client.configure(data);
  if (begins) client.speak(); // at once: the page may be left before it is ready
  const begin = () => {
    if (begins) client.start();
    ready(client);
  };
  // In a task of its own, so that neither is long; and not before the page's scripts could say what they want to hear,
  // for another tab may have news at once.
  const [navigation] = performance.getEntriesByType("navigation");
  const soon = () => setTimeout(begin);
  if (navigation?.domContentLoadedEventStart === 0) document.addEventListener("DOMContentLoaded", soon, { once: true });
  else soon();
}
