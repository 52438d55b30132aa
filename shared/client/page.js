"use strict";
// Tells the page that embeds this one whether the session is alive. Only an allowed origin is told: its own, one of
// data-origins, or any where that is "*".
(() => {
  if (window.parent === window) return;
  const { state, origins } = document.documentElement.dataset;
  const allowed = [location.origin, ...origins.split(" ").filter(Boolean)];
  const embedder = location.ancestorOrigins?.[0] ?? (document.referrer && new URL(document.referrer).origin);
  const tell = (origin) => window.parent.postMessage({ type: "heartbeat", state }, origin);
  if (allowed.includes("*")) tell("*");
  else if (embedder) allowed.includes(embedder) && tell(embedder);
  else allowed.forEach(tell);
})();
