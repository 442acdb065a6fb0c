import { TIMING } from "./timing.js";

/**
 * Why a request to the server failed, in words. A browser says the same of a server that is away and of one whose answer this
 * page must not read; but what everybody may read, a server that is there lets this page read as well.
 * @param {unknown} error @param {string | URL} base  the server's root @returns {Promise<string>}
 */
export async function failure(error, base) {
  const message = error instanceof Error ? error.message : String(error);
  const origin = globalThis.location?.origin;
  if (!(error instanceof TypeError) || !origin || new URL(base).origin === origin) return message;
  return (await answers(base)) ? `${origin} may not read it. STABILITY_ALLOWED_ORIGINS of the server has to name it.` : message;
}

/** @param {string | URL} base */
async function answers(base) {
  try {
    return (await fetch(new URL("api/topics", base), { cache: "no-cache", signal: AbortSignal.timeout(TIMING.pollTimeout) })).ok;
  } catch {
    return false;
  }
}
