// Pings that are pages in a hidden frame: they keep the session of another site, also one of https from an http page.
// Each is a frame of its own, so that the history of the tab does not grow, and the one before it goes. Few pages need
// this, so it is a script of its own, which the client loads when it does.
import { NONE, PATIENCE } from "./ping.js";

const SILENT = 1000; // ms: a page that is there and has said nothing will say nothing
const HIDDEN = "position:absolute;width:0;height:0;border:0;visibility:hidden"; // with display:none, browsers may spare it

class Frame {
  #frame; // the one that is heard
  #origin; // of its page
  #home; // the element of the page where a human can be asked in it
  #pending; // the promise of an answer
  #answer; // ends it
  #over = false; // nobody needs the frame any more

  constructor() {
    addEventListener("message", (event) => this.#hear(event));
  }

  /** Resolves to {status, seconds, state} as the page says it; status 0: it says nothing. `storage`: the selector of
      an element in which it may ask the human for the cookies that the browser keeps from it. */
  ping(url, storage) {
    if (navigator.onLine === false) return NONE;
    this.#over = false;
    this.#pending ??= this.#load(url, storage);
    return this.#pending;
  }

  stop() {
    this.#over = true;
    if (this.#pending) return;
    this.#show(false);
    this.#frame?.remove();
    this.#frame = undefined;
  }

  // The old frame goes when the new one has come: then its process serves both.
  async #load(url, storage) {
    const before = this.#frame;
    const answer = await this.#ask(url, storage).catch(() => NONE);
    if (before !== this.#frame) before?.remove();
    this.#pending = undefined;
    if (this.#over || !answer.status) this.stop();
    return answer;
  }

  // Where it asks for cookies, it may load itself a second time.
  #ask(url, storage) {
    return new Promise((done) => {
      this.#home = storage ? document.querySelector(storage) : undefined;
      this.#answer = done;
      setTimeout(done, PATIENCE, NONE);
      if (storage !== undefined) this.#keep(url);
      else this.#place(url).onload = () => setTimeout(done, SILENT, NONE);
    });
  }

  // The human's leave holds for what the page in the frame loads itself.
  #keep(url) {
    url.searchParams.set("ask", this.#home?.dataset.ask ?? "");
    if (this.#frame?.isConnected) this.#frame.contentWindow.postMessage({ type: "heartbeat", query: `${url.searchParams}` }, this.#origin);
    else this.#place(url);
  }

  #place(url) {
    const frame = document.createElement("iframe");
    frame.title = "Keep-alive";
    frame.referrerPolicy = "origin";
    frame.src = url;
    this.#frame = frame;
    this.#origin = url.origin;
    this.#show(false);
    (this.#home ?? document.body ?? document.documentElement).append(frame);
    return frame;
  }

  #show(asking) {
    const [frame, home] = [this.#frame, this.#home];
    if (!frame) return;
    frame.style.cssText = asking ? "" : HIDDEN;
    frame.ariaHidden = !asking;
    frame.tabIndex = asking ? 0 : -1;
    if (home) home.hidden = !asking;
  }

  #hear({ source, origin, data }) {
    if (!this.#frame || source !== this.#frame.contentWindow || origin !== this.#origin || data?.type !== "heartbeat") return;
    const { status, seconds, state, ask } = data;
    this.#show(ask && this.#home);
    this.#answer({ status, seconds, state });
  }
}

document.currentScript.ready(new Frame());
