// One ping: a HEAD request with nothing that it does not need.

const PATIENCE = 10000; // ms after which an answer will not come

/** Resolves to {status, seconds}: of its Retry-After. Status 0: no answer. */
export async function ping(address, { active, left }, token, credentials = "same-origin") {
  const none = { status: 0, seconds: 0 };
  if (navigator.onLine === false) return none;
  const url = new URL(address);
  if (active) url.searchParams.set("a", 1);
  url.searchParams.set("b", left);
  if (token) url.searchParams.set("t", token);
  const signal = AbortSignal.timeout(PATIENCE);
  try {
    const { status, headers } = await fetch(url, { method: "HEAD", referrerPolicy: "no-referrer", credentials, signal });
    return { status, seconds: Number(headers.get("Retry-After")) || 0 };
  } catch {
    return none;
  }
}
