"use strict";
// Tells the page that embeds this one how the session is. Only an allowed origin is told, or heard: its own, one of
// data-origins, or any where that is "*".
(() => {
  const { parent } = window;
  if (parent === window) return;
  const { state, status, seconds, origins } = document.documentElement.dataset;
  const allowed = [location.origin, ...origins.split(" ").filter(Boolean)];
  const embedder = location.ancestorOrigins?.[0] ?? (document.referrer && new URL(document.referrer).origin);
  const told = { type: "heartbeat", state, status: Number(status), seconds: Number(seconds), ask: false };
  const text = new URLSearchParams(location.search).get("ask");

  const tell = () => {
    const send = (origin) => parent.postMessage(told, origin);
    if (allowed.includes("*")) send("*");
    else if (embedder) allowed.includes(embedder) && send(embedder);
    else allowed.forEach(send);
  };

  // What a page gets by asking holds as long as it itself loads itself anew (Storage Access API, "navigation"): so the
  // script says when. While there is a question to a human, or the answer was no, that would be in vain.
  let open = false;
  addEventListener("message", ({ source, origin, data }) => {
    const heard = source === parent && data?.type === "heartbeat";
    if (!heard || !(allowed.includes("*") || allowed.includes(origin))) return;
    if (open) tell();
    else location.replace(`?${data.query}`);
  });

  const request = () => document.requestStorageAccess().then(() => location.reload());

  // Only the click of a human in this very page may ask.
  const ask = () => {
    const button = document.createElement("button");
    button.textContent = text || "Stay signed in";
    button.onclick = () => request().catch(() => {
      button.remove();
      told.ask = false;
      tell();
    });
    document.body.append(button);
    open = told.ask = true;
    tell();
  };

  // Without the cookies that the browser keeps from a frame of another site. Who agreed earlier is not asked again; and
  // where that does not help, there is no other way. Nor is there one below an http page.
  const seek = async () => {
    const again = performance.getEntriesByType("navigation")[0]?.type === "reload";
    if (again || !isSecureContext || (await document.hasStorageAccess())) return tell();
    const { state: answer } = await navigator.permissions.query({ name: "storage-access" }).catch(() => ({}));
    if (answer === "granted") return request().catch(tell);
    return answer === "denied" ? tell() : ask();
  };
  if (text !== null && state === "none" && document.hasStorageAccess) seek();
  else tell();
})();
