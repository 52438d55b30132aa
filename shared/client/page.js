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

  // The cookies that browsers keep from a frame of another site come with the human's leave (Storage Access API). Chromium
  // wants each page to call on it anew, and it holds for what that page then loads itself.
  const leave = async () => {
    if (text === null || !isSecureContext || !document.requestStorageAccess) return "denied"; // an http page: no API
    try {
      return (await navigator.permissions.query({ name: "storage-access" })).state;
    } catch {
      return "prompt"; // a browser that does not say
    }
  };
  const request = (load) => document.requestStorageAccess().then(load);

  // So the script has the page load itself. While there is a question to the human, or the answer was no, that would be
  // in vain.
  let open = false;
  const next = async (query) => {
    const load = () => location.replace(`?${query}`);
    if (open) tell();
    else if ((await leave()) === "granted") request(load).catch(load);
    else load();
  };
  addEventListener("message", ({ source, origin, data }) => {
    const mayTell = allowed.includes("*") || allowed.includes(origin);
    if (source === parent && mayTell && data?.type === "heartbeat") next(data.query);
  });

  // Only the click of a human in this very page may ask.
  const ask = () => {
    const button = document.createElement("button");
    button.textContent = text || "Stay signed in";
    button.onclick = () => request(() => location.reload()).catch(() => {
      button.remove();
      told.ask = false;
      tell();
    });
    document.body.append(button);
    open = told.ask = true;
    tell();
  };

  // Without a session: is that for want of leave? Where loading once more did not help, nothing will.
  const seek = async () => {
    const again = performance.getEntriesByType("navigation")[0]?.type === "reload";
    const answer = again || (await document.hasStorageAccess()) ? "denied" : await leave();
    if (answer === "granted") request(() => location.reload()).catch(tell);
    else if (answer === "prompt") ask();
    else tell();
  };
  if (text !== null && state === "none" && document.hasStorageAccess) seek();
  else tell();
})();
