// Pings that are pages in a hidden frame: they keep the session of another site, also one of https from an http page.
// Each is a frame of its own, so that the history of the tab does not grow, and the one before it goes.
import { NONE, PATIENCE } from "./ping.js";

const SILENT = 1000; // ms: a page that is there and has said nothing will say nothing
const HIDDEN = "position:fixed;visibility:hidden"; // takes no room, no focus, and is read to nobody; display:none browsers may spare

export function createFrame() {
  let frame; // the one that is heard
  let home; // the element of the page where a human can be asked in it
  let from; // the origin of its page
  let pending; // the promise of an answer
  let answer; // ends it
  let over; // nobody needs the frame any more

  /** Resolves to what the page says, of it {status, seconds, state}; status 0: it says nothing. `storage`: the selector of
      an element in which it may ask the human for the cookies that the browser keeps from it. */
  function ping(url, storage) {
    if (!navigator.onLine) return NONE;
    over = false;
    return (pending ??= load(url, storage));
  }

  function stop() {
    over = true;
    if (pending) return;
    show(false);
    frame?.remove();
    frame = undefined;
  }

  // The old frame goes when the new one has come: then its process serves both.
  async function load(url, storage) {
    const before = frame;
    const said = await say(url, storage).catch(() => NONE);
    if (before !== frame) before?.remove();
    pending = undefined;
    if (over || !said.status) stop();
    return said;
  }

  // Where it asks for cookies, it may load itself a second time.
  function say(url, storage) {
    return new Promise((done) => {
      home = storage ? document.querySelector(storage) : undefined;
      answer = done;
      setTimeout(done, PATIENCE, NONE);
      if (storage !== undefined) keep(url);
      else place(url).onload = () => setTimeout(done, SILENT, NONE);
    });
  }

  // The human's leave holds for what the page in the frame loads itself.
  function keep(url) {
    url.searchParams.set("ask", home?.dataset.ask ?? "");
    if (frame?.isConnected) frame.contentWindow.postMessage({ type: "heartbeat", query: `${url.searchParams}` }, from);
    else place(url);
  }

  function place(url) {
    frame = document.createElement("iframe");
    frame.title = "Keep-alive";
    frame.referrerPolicy = "origin";
    frame.src = url;
    from = url.origin;
    show(false);
    (home ?? document.body).append(frame);
    return frame;
  }

  function show(asking) {
    if (!frame) return;
    frame.style.cssText = asking ? "" : HIDDEN;
    if (home) home.hidden = !asking;
  }

  addEventListener("message", ({ source, origin, data }) => {
    if (!frame || source !== frame.contentWindow || origin !== from || data?.type !== "heartbeat") return;
    show(data.ask && home);
    answer(data);
  });

  return { ping, stop };
}
