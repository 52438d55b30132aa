// What pages see of the client script: `heartbeat`, once the tag stands in the page.

/** Options of start(), named as the tag's attributes: `data-online` is `online`. Those not given stay as they were. */
export interface HeartbeatOptions {
  /** The ping endpoint. Default: `ping` beside the script. */
  ping?: string | URL;
  /** The page endpoint, perhaps of another site: its page in a hidden frame is then the ping. */
  frame?: string | URL;
  /** A selector of the element in which the frame may ask the human for its cookies; "": only what was agreed earlier. */
  storage?: string;
  /** The online endpoint. Default: `online` beside the script. */
  list?: string | URL;
  /** The beacon endpoint. Default: `beacon` beside the script. "" or "off": nothing is recorded. */
  beacon?: string | URL;
  /** A selector of the element that shows who is online; "" for the `online` event alone. */
  online?: string;
  /** Seconds between two looks at the list. Default: 5. */
  refresh?: number | string;
  /** A token that says whose session this is, where no cookie does. */
  token?: string;
  /** Whether requests carry cookies. Default: "same-origin". */
  credentials?: RequestCredentials;
  /** A selector of video and audio elements that count as a human while they play and the page is visible. */
  playing?: string;
  /** "off": keep time with the page's own timers. */
  worker?: "on" | "off";
}

/** One session of the list, as the online endpoint says it. */
export interface HeartbeatSession {
  name: string;
  id: string;
  user: string | null;
  since: number;
  last: number;
  active: boolean;
}

export interface HeartbeatEvents {
  /** A ping was answered, or not (status 0). */
  ping: {
    status: number;
    active: boolean;
    left: number;
    /** Of a frame: was there a session in its request? */
    state?: "alive" | "none" | "refused" | "wait";
  };
  /** The server was not reached or wants to be spared: the next ping comes in so many seconds. */
  wait: { status: number; seconds: number };
  /** No human for too long: nothing is sent any more. */
  timeout: null;
  /** The server refuses the session: nothing is sent any more. */
  expired: null;
  /** The human, or the session, is back. */
  resume: null;
  /** The list of who is online has changed. */
  online: { at: number; count: number; users: number; listed: number; online: HeartbeatSession[] };
  /** An item could not be recorded. No `json`: it has none; else the page view has said all that it may. */
  dropped: { json?: string };
  /** The server refuses what this page view says: from now on all is dropped. */
  refused: { status: number };
}

export interface Heartbeat {
  /** Starts, or starts again with other options. */
  start(options?: HeartbeatOptions): Promise<void>;
  /** Stops this tab. */
  stop(): Promise<void>;
  /** Pings now. Resolves to the status of the answer, 0 if there was none. */
  ping(): Promise<number>;
  /** The server is to have this item of the page view: anything that JSON.stringify takes, as it is now. */
  record(item: unknown): void;
  /** Calls the listener at each such event. Returns a function that ends that. */
  on<Name extends keyof HeartbeatEvents>(name: Name, listener: (detail: HeartbeatEvents[Name]) => void): () => void;
}

declare global {
  interface Window {
    heartbeat: Heartbeat;
  }
  const heartbeat: Heartbeat;
}
