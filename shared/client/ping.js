// One ping: a HEAD request with nothing that it does not need; and how the server is asked anything.

export const PATIENCE = 10000; // ms after which an answer will not come
export const NONE = { status: 0, seconds: 0 }; // what is known when there is none

/** The address of a ping that says {active, left}. */
export function saying(address, { active, left }, token) {
  const url = new URL(address);
  if (active) url.searchParams.set("a", 1);
  url.searchParams.set("b", left);
  if (token) url.searchParams.set("t", token);
  return url;
}

/** Asks the server. Resolves to {status, seconds: of its Retry-After, answer}. Status 0: none. */
export async function ask(url, how) {
  if (!navigator.onLine) return NONE;
  const signal = AbortSignal.timeout(PATIENCE);
  try {
    const answer = await fetch(url, { referrerPolicy: "no-referrer", signal, ...how });
    return { status: answer.status, seconds: +answer.headers.get("Retry-After") || 0, answer };
  } catch {
    return NONE;
  }
}
