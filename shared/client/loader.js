// What the address of the script answers: made anew for each page view, with the settings of its place. It makes
// `heartbeat`, the object that pages use, and loads the client, which does the work.

const tag = document.currentScript;

// A second tag on the same page has nothing to add. (An element with that id would have no `on`.)
if (tag && !window.heartbeat?.on) {
  const heard = new EventTarget();
  const tell = (name, detail) => heard.dispatchEvent(new CustomEvent(name, { detail }));
  const script = document.createElement("script");
  const items = []; // until the client is here, which takes them itself from then on
  const client = new Promise((ready) => {
    script.heartbeat = { settings: "@SETTINGS@", data: { ...tag.dataset }, items, tell, ready };
  });
  const later = (name) => async (options) => (await client)[name](options);
  window.heartbeat = {
    start: later("start"),
    stop: later("stop"),
    ping: later("ping"),
    record(item) {
      let json; // as it is now, whatever becomes of it
      try {
        json = JSON.stringify(item);
      } catch {
        // it has none
      }
      items.push(json);
    },
    on(name, listener) {
      const hear = ({ detail }) => listener(detail);
      heard.addEventListener(name, hear);
      return () => heard.removeEventListener(name, hear);
    },
  };
  script.src = new URL("?c=@CONTENT@", tag.src);
  script.nonce = tag.nonce; // for a page whose policy lists nonces; setting it is how the element keeps it
  document.head.append(script);
}
