/**
 * The site's half of the image service: orders derivatives when an original was uploaded, falls back to the old way of
 * making them when that fails, and builds the addresses of pictures. It needs nothing but what Node 20, an edge runtime
 * or a browser has (fetch, Web Crypto); keep what orders jobs on the server, where the secret is.
 *
 * Signatures are those of Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body.
 */

/** Widths of the sizes in pixels; the service's config/sizes.toml says the same. */
export const WIDTHS = { small: 300, medium: 800, large: 1200, xlarge: 2000 } as const;
export type Size = keyof typeof WIDTHS;

/**
 * How far the cut-over is: the old way alone; the old way, and the service beside it, which writes into its shadow; a
 * share of the originals in percent by the service; all of them.
 */
export type Rollout = "off" | "shadow" | number | "on";

export interface Settings {
  /** Where the service answers, without a slash at the end. */
  serviceUrl: string;
  /** Where the store is read in public, for addresses of the old way. */
  publicUrl: string;
  /** `whsec_…`, one of the service's WEBHOOK_SECRETS; only where jobs are ordered or callbacks are taken. */
  secret?: string;
  rollout: Rollout;
  /** Makes all sizes of an original as it was done before; is what everything falls back to. */
  oldWay: (key: string) => Promise<void>;
  /** The longest that the service may take, from order to end, before the old way is gone; 10 s unless said. */
  deadlineMs?: number;
  /**
   * Where the service tells the end of each job (its host is in the service's CALLBACK_HOSTS). An upload then waits only
   * until its job is safe in the queue, and the route there gives what it reads to `settle`.
   */
  callbackUrl?: string;
  /** Told of what happened; the sentence of a fault, never a secret. */
  tell?: (event: Event) => void;
  /** For tests, and for frameworks that bring their own. */
  fetch?: typeof fetch;
}

/** What came of an order: who made the sizes of which original, how long that took, why not the service. */
export interface Event {
  key: string;
  by: "service" | "old way" | "shadow";
  ms: number;
  fault?: string;
}

/** A job as the service tells it. */
export interface Job {
  id: string;
  key: string;
  status: "queued" | "processing" | "done" | "error";
  derivatives: { size: string; key: string; url: string; width: number; height: number; bytes: number }[];
  error: { code: string; detail: string } | null;
}

/** Neither the service nor the old way made the sizes; the original is where it was uploaded, to be tried again. */
export class NotMade extends Error {
  constructor(readonly key: string, readonly service: unknown, readonly old: unknown) {
    super(`no sizes of ${key}: ${sentence(service)}; and the old way: ${sentence(old)}`);
    this.name = "NotMade";
  }
}

/** A callback that the service did not send, or that is too old to be taken. */
export class Forged extends Error {}

const DEADLINE_MS = 10_000;
const LOOK_EVERY_MS = [100, 200, 400, 800];
const RETRY_AFTER_MS = 1_000;
const TOLERANCE_SECONDS = 300;

/**
 * Makes all sizes of an original that was uploaded; in the place of the site's own createOtherSizes.
 *
 * Whatever goes wrong with the service, within its deadline, the old way is gone instead. In the shadow, and below the
 * share, the old way is gone as before, and nobody waits for the service. Throws only if the old way does.
 */
export async function createOtherSizes(key: string, settings: Settings): Promise<void> {
  if (settings.rollout === "shadow") {
    void shadow(key, settings);
    return settings.oldWay(key);
  }
  if (!isByService(key, settings.rollout)) {
    return settings.oldWay(key);
  }
  const began = Date.now();
  let fault: unknown;
  try {
    await (settings.callbackUrl ? post(key, settings, began + (settings.deadlineMs ?? DEADLINE_MS)) : order(key, settings));
    return tell(settings, { key, by: "service", ms: Date.now() - began });
  } catch (error) {
    fault = error;
  }
  try {
    await settings.oldWay(key);
  } catch (error) {
    throw new NotMade(key, fault, error);
  }
  tell(settings, { key, by: "old way", ms: Date.now() - began, fault: sentence(fault) });
}

/** Sees to the end of a job that a callback told: one that failed falls back to the old way, or in the shadow is told. */
export async function settle(job: Job, settings: Settings): Promise<void> {
  if (job.status !== "error") {
    return;
  }
  const began = Date.now();
  const fault = job.error?.detail ?? `job ${job.id} failed`;
  if (settings.rollout === "shadow") {
    return tell(settings, { key: job.key, by: "shadow", ms: 0, fault }); // the old way was gone with the upload
  }
  try {
    await settings.oldWay(job.key);
  } catch (error) {
    throw new NotMade(job.key, fault, error);
  }
  tell(settings, { key: job.key, by: "old way", ms: Date.now() - began, fault });
}

/** Reads a rollout from an environment variable: off (or nothing), shadow, on, or a share in percent. */
export function rolloutOf(word: string | undefined): Rollout {
  const told = word?.trim() || "off";
  if (told === "off" || told === "shadow" || told === "on") {
    return told;
  }
  const share = Number(told.replace(/ ?%$/, ""));
  if (!(share >= 0 && share <= 100)) {
    throw new Error(`${JSON.stringify(word)} is no rollout: off, shadow, on, or a share from 0 to 100`);
  }
  return share;
}

/** Tells whether an original is the service's: the same for the same key always, and for every larger share. */
export function isByService(key: string, rollout: Rollout): boolean {
  if (typeof rollout === "number") {
    return bucket(key) < rollout;
  }
  return rollout === "on";
}

/**
 * Orders all sizes of an original and waits until they are there.
 *
 * A service that has no room says when to come back, and is asked again as long as there is time. Throws when it cannot
 * be reached, refuses, fails, or does not come to an end within the deadline.
 */
export async function order(key: string, settings: Settings): Promise<Job> {
  const until = Date.now() + (settings.deadlineMs ?? DEADLINE_MS);
  let job = await post(key, settings, until);
  for (let look = 0; job.status === "queued" || job.status === "processing"; look++) {
    await sleep(LOOK_EVERY_MS[Math.min(look, LOOK_EVERY_MS.length - 1)]!, until);
    job = await read<Job>(await ask(`/v1/jobs/${job.id}`, {}, settings, until));
  }
  if (job.status === "error") {
    throw new Error(job.error?.detail ?? `job ${job.id} failed`);
  }
  return job;
}

/** The address of a size of an original, or of the original itself; made by the service when it is first looked at. */
export function imageUrl(key: string, size: Size | "original", settings: Settings): string {
  if (isByService(key, settings.rollout)) {
    return `${settings.serviceUrl}/img/${path(key)}/${size}`;
  }
  return `${settings.publicUrl}/${path(key.replace(/_original(?=\.[^.]*$)/, `_${size}`))}`;
}

/** The `srcset` of an original: every size with its width. */
export function srcset(key: string, settings: Settings): string {
  const sizes = Object.entries(WIDTHS) as [Size, number][];
  return sizes.map(([size, width]) => `${imageUrl(key, size, settings)} ${width}w`).join(", ");
}

/**
 * Reads a callback of the service: the job that has ended. `body` is the request's, to the byte; a `webhook-id` that was
 * taken before is the same news again. Throws Forged if no secret of ours signed it, or more than five minutes ago.
 */
export async function readCallback(body: string, headers: Headers, secret: string): Promise<Job> {
  const [id, time, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => headers.get(name));
  if (!id || !time || !signatures || !(Math.abs(Date.now() / 1000 - Number(time)) <= TOLERANCE_SECONDS)) {
    throw new Forged("this is no callback of the service, or an old one");
  }
  const key = await hmacKey(secret, "verify");
  for (const signature of signatures.split(" ")) {
    const [version, code] = signature.split(",");
    if (version === "v1" && code && (await crypto.subtle.verify("HMAC", key, bytes(code), text(`${id}.${time}.${body}`)))) {
      return (JSON.parse(body) as { data: Job }).data;
    }
  }
  throw new Forged("the callback is signed by another secret");
}

async function shadow(key: string, settings: Settings): Promise<void> {
  const began = Date.now();
  try {
    await post(key, settings, began + (settings.deadlineMs ?? DEADLINE_MS));
    tell(settings, { key, by: "shadow", ms: Date.now() - began });
  } catch (error) {
    tell(settings, { key, by: "shadow", ms: Date.now() - began, fault: sentence(error) });
  }
}

async function post(key: string, settings: Settings, until: number): Promise<Job> {
  const body = JSON.stringify(settings.callbackUrl ? { key, callback_url: settings.callbackUrl } : { key });
  const id = `msg_${crypto.randomUUID()}`; // of the order, not of the try: asked twice it is one job
  for (;;) {
    const headers = { "content-type": "application/json", ...(await signature(id, body, settings)) };
    const answer = await ask("/v1/jobs", { method: "POST", body, headers }, settings, until);
    if (answer.status !== 503) {
      return read<Job>(answer);
    }
    const seconds = Number(answer.headers.get("retry-after"));
    await answer.body?.cancel();
    await sleep(seconds > 0 ? seconds * 1000 : RETRY_AFTER_MS, until);
  }
}

async function ask(address: string, request: RequestInit, settings: Settings, until: number): Promise<Response> {
  const signal = AbortSignal.timeout(Math.max(1, until - Date.now()));
  return (settings.fetch ?? fetch)(settings.serviceUrl + address, { ...request, signal, redirect: "manual" });
}

async function read<T>(answer: Response): Promise<T> {
  const body = await answer.text();
  if (!answer.ok) {
    throw new Error(`the service answers ${answer.status}: ${detail(body)}`);
  }
  return JSON.parse(body) as T;
}

function detail(problem: string): string {
  try {
    return (JSON.parse(problem) as { detail?: string }).detail ?? problem.slice(0, 200);
  } catch {
    return problem.slice(0, 200);
  }
}

async function signature(id: string, body: string, settings: Settings): Promise<Record<string, string>> {
  if (!settings.secret) {
    return { "webhook-id": id };
  }
  const time = Math.floor(Date.now() / 1000);
  const code = await crypto.subtle.sign("HMAC", await hmacKey(settings.secret, "sign"), text(`${id}.${time}.${body}`));
  const encoded = btoa(String.fromCharCode(...new Uint8Array(code)));
  return { "webhook-id": id, "webhook-timestamp": String(time), "webhook-signature": `v1,${encoded}` };
}

function hmacKey(secret: string, use: "sign" | "verify"): Promise<CryptoKey> {
  const raw = bytes(secret.replace(/^whsec_/, ""));
  return crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, [use]);
}

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

function text(line: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(line));
}

function path(key: string): string {
  return key.split("/").map(encodeURIComponent).join("/");
}

/** A number from 0 to 99.99 that follows from the key alone: FNV-1a (32 bits), spread by the finisher of MurmurHash3. */
function bucket(key: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(key)) {
    hash = Math.imul(hash ^ byte, 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) % 10_000) / 100;
}

async function sleep(ms: number, until: number): Promise<void> {
  if (Date.now() + ms >= until) {
    throw new Error("the service did not come to an end in time");
  }
  await new Promise((wake) => setTimeout(wake, ms));
}

function tell(settings: Settings, event: Event): void {
  try {
    settings.tell?.(event);
  } catch {
    // whoever listens must not be what fails
  }
}

function sentence(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}
