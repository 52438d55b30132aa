// The client, loaded by the loader; and the same file is the Worker that keeps time for it.
import { serveAlarms } from "./alarm.js";
import { Heartbeat } from "./heartbeat.js";

if (typeof document === "undefined") {
  serveAlarms();
} else {
  const script = document.currentScript;
  const { settings, base, data, tell, ready } = script.heartbeat;
  const client = new Heartbeat({ settings, base, own: script.src, tell });
  // In a task of its own, so that neither is long.
  setTimeout(() => {
    if (data.start === "off") client.configure(data);
    else client.start(data);
    ready(client);
  });
}
