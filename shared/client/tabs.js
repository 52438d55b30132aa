// The other tabs of the site with the same session: what one knows all know, so that all agree whether there is a human
// and only one beats.

export function createTabs() {
  let name;
  let channel;

  return {
    open(itsName, hear) {
      name = itsName;
      try {
        channel = new BroadcastChannel(name);
        channel.onmessage = ({ data }) => hear(data);
      } catch {
        // where storage is forbidden this may be, too: then this tab knows of no other
      }
    },

    // An open channel could keep a page out of the back/forward cache.
    close() {
      channel?.close();
      channel = undefined;
    },

    tell(facts) {
      channel?.postMessage(facts);
    },

    /** Does the work unless another tab is at it: then false. Web Locks are for secure contexts only; without them tabs
        that are due in the same moment may both do it, which does no harm. */
    async alone(work) {
      let asked = false;
      const once = (lock) => {
        asked = true;
        return lock ? work() : false;
      };
      try {
        return await navigator.locks.request(name, { ifAvailable: true }, once);
      } catch {
        return asked ? false : work(); // there are none, or a sandboxed page may not ask
      }
    },
  };
}

/** What tabs must have in common to beat for each other: the endpoint, and who a token says they are. */
export function identity(address, token = "") {
  let who = token;
  try {
    const { sid, sub } = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
    who = sid ?? sub ?? token;
  } catch {
    // not a token that can be read: it stands for itself
  }
  return `heartbeat ${address} ${who}`;
}
