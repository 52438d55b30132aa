// The ways to send a text, of ASCII, to an address.
import { ask } from "./ping.js";

const WORTH = 1024; // bytes that are worth to be compressed
const LONGEST = 8000; // bytes of an address: servers end a request line at about 8,190

/** Resolves to {status, seconds} of the answer, status 0: none. Without a type of our own a text is text/plain, and neither
    that nor a blob without one needs a preflight. */
function post(url, body, credentials) {
  return ask(url, { method: "POST", body, credentials, keepalive: true });
}

/** While there is time: the same, but a large text is compressed. */
export async function flush(url, text, credentials) {
  if (text.length < WORTH || !window.CompressionStream) return post(url, text, credentials);
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return post(`${url}&z=1`, await new Response(stream).blob(), credentials);
}

/** When the page goes: something true if the browser takes the text, which is all that can be known by then; of `fetch`
    it is the promise of an answer. */
export const transports = {
  beacon: (url, text) => navigator.sendBeacon?.(url, text),
  fetch: "keepalive" in Request.prototype ? post : undefined, // without it a fetch ends with its page
  image(url, text) {
    const data = btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", ""); // RFC 4648, base64url
    const address = `${url}&d=${data}`;
    return address.length < LONGEST && (new Image().src = address);
  },
};

/** Has the browser send it when the page is gone, however it goes. Returns a function that ends that, or nothing. */
export function arm(url, body, credentials) {
  const controller = new AbortController();
  try {
    fetchLater(url, { method: "POST", body, credentials, referrerPolicy: "no-referrer", signal: controller.signal });
    return () => controller.abort();
  } catch {
    // it cannot, or will not take so much
  }
}
