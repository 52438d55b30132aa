// Is there a human? Whatever a person does to the page counts; what scripts do to it does not.

const SIGNS = ["keydown", "pointerdown", "pointermove", "touchmove", "wheel", "focus", "visibilitychange"];
const OFTEN = 1000; // ms: no need to know more exactly

/** Calls `seen` with the time of what a human does, but not too often. */
export function createActivity(seen) {
  let last = 0;
  let media; // a selector of what counts while it plays

  /** Looks until the signal says that it is over. */
  function start(playingMedia, signal) {
    media = playingMedia;
    const options = { capture: true, passive: true, signal };
    for (const sign of SIGNS) addEventListener(sign, note, options);
    if (media) addEventListener("playing", () => playing() && tell(), options);
  }

  /** Is a video playing, where that counts, that somebody can see? */
  function playing() {
    try {
      return media && !document.hidden && [...document.querySelectorAll(media)].some(({ paused }) => paused === false);
    } catch {
      return false; // that is no selector
    }
  }

  // A pointer that does not move is one below which the page moved. Of the focus only the window's own counts: scripts
  // can move that within the page.
  function note({ type, isTrusted, target, movementX, movementY }) {
    if (!isTrusted || document.hidden || (type === "pointermove" && !movementX && !movementY) || (type === "focus" && target !== window)) return;
    tell();
  }

  function tell() {
    const now = Date.now();
    if (Math.abs(now - last) < OFTEN) return;
    last = now;
    seen(now);
  }

  return { start, playing };
}
