// One ping: a HEAD request with nothing that it does not need.

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

/** Resolves to {status, seconds}: of its Retry-After. Status 0: no answer. */
export async function ping(url, credentials = "same-origin") {
  if (navigator.onLine === false) return NONE;
  const signal = AbortSignal.timeout(PATIENCE);
  try {
    const { status, headers } = await fetch(url, { method: "HEAD", referrerPolicy: "no-referrer", credentials, signal });
    return { status, seconds: Number(headers.get("Retry-After")) || 0 };
  } catch {
    return NONE;
  }
}
