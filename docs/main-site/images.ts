/**
 * The site's client of the image service. It posts a job when an original was uploaded, falls back to the old code if
 * that fails, and builds the URLs of pictures. It needs only what Node 20, an edge runtime or a browser provides:
 * fetch and Web Crypto. Post jobs on the server only, because that requires the secret.
 *
 * Signatures follow Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body.
 */

/** Widths of the sizes in pixels, equal to config/sizes.toml of the service. */
export const WIDTHS = { small: 300, medium: 800, large: 1200, xlarge: 2000 } as const;
export type Size = keyof typeof WIDTHS;

/**
 * The stage of the cut-over. "off" runs the old code only. "shadow" also posts a job, which the service renders into
 * its shadow. A number is the percentage of originals that the service renders. "on" is all of them.
 */
export type Rollout = "off" | "shadow" | number | "on";

export interface Settings {
  /** Base URL of the service, without a trailing slash. */
  serviceUrl: string;
  /** Public base URL of the store, for URLs of the old code. */
  publicUrl: string;
  /** `whsec_…`, one of the service's WEBHOOK_SECRETS; needed only to post jobs or to receive callbacks. */
  secret?: string;
  rollout: Rollout;
  /** Renders all sizes of an original with the old code; the fallback for every failure. */
  oldWay: (key: string) => Promise<void>;
  /** Time limit for the service, from the post to the end of the job, before the fallback runs; default 10 s. */
  deadlineMs?: number;
  /**
   * URL that the service calls when a job has ended; its CALLBACK_HOSTS must list the host. An upload then waits only
   * until its job is in the queue. The route at that URL passes the job to `settle`.
   */
  callbackUrl?: string;
  /** Called with the result of each post; it contains the message of an error, never a secret. */
  tell?: (event: Event) => void;
  /** For tests, and for frameworks that provide their own. */
  fetch?: typeof fetch;
}

/** The result of a post: which side rendered the sizes of which original, the duration, and why not the service. */
export interface Event {
  key: string;
  by: "service" | "old way" | "shadow";
  ms: number;
  fault?: string;
}

/** A job as the service returns it. */
export interface Job {
  id: string;
  key: string;
  status: "queued" | "processing" | "done" | "error";
  derivatives: { size: string; key: string; url: string; width: number; height: number; bytes: number }[];
  error: { code: string; detail: string } | null;
}

/** Both the service and the old code failed. The original is still in the store, so the call can be retried. */
export class NotMade extends Error {
  constructor(readonly key: string, readonly service: unknown, readonly old: unknown) {
    super(`no sizes of ${key}: ${sentence(service)}; and the old way: ${sentence(old)}`);
    this.name = "NotMade";
  }
}

/** A callback that the service did not sign, or that is too old to be accepted. */
export class Forged extends Error {}

const DEADLINE_MS = 10_000;
const LOOK_EVERY_MS = [100, 200, 400, 800];
const RETRY_AFTER_MS = 1_000;
const TOLERANCE_SECONDS = 300;

/**
 * Renders all sizes of an uploaded original; replaces the site's own createOtherSizes.
 *
 * If the service fails, or exceeds its deadline, the old code runs instead. In the rollout "shadow", and for originals
 * outside of the percentage, the old code runs as before without waiting for the service. Throws only if the old code
 * throws.
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

/** Handles the end of a job that a callback reported: a failed job runs the old code, or in the shadow is reported. */
export async function settle(job: Job, settings: Settings): Promise<void> {
  if (job.status !== "error") {
    return;
  }
  const began = Date.now();
  const fault = job.error?.detail ?? `job ${job.id} failed`;
  if (settings.rollout === "shadow") {
    return tell(settings, { key: job.key, by: "shadow", ms: 0, fault }); // the old code ran with the upload
  }
  try {
    await settings.oldWay(job.key);
  } catch (error) {
    throw new NotMade(job.key, fault, error);
  }
  tell(settings, { key: job.key, by: "old way", ms: Date.now() - began, fault });
}

/** Parses a rollout from an environment variable: off (or empty), shadow, on, or a percentage. */
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

/** Returns whether the service renders an original. If it does for a percentage, it does for every larger one. */
export function isByService(key: string, rollout: Rollout): boolean {
  if (typeof rollout === "number") {
    return bucket(key) < rollout;
  }
  return rollout === "on";
}

/**
 * Posts a job for all sizes of an original and waits until it has ended.
 *
 * A 503 is retried after its `Retry-After`, until the deadline. Throws if the service is unreachable, refuses, fails,
 * or exceeds the deadline.
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

/** Returns the URL of a size of an original, or of the original itself; the service renders it on the first view. */
export function imageUrl(key: string, size: Size | "original", settings: Settings): string {
  if (isByService(key, settings.rollout)) {
    return `${settings.serviceUrl}/img/${path(key)}/${size}`;
  }
  return `${settings.publicUrl}/${path(key.replace(/_original(?=\.[^.]*$)/, `_${size}`))}`;
}

/** Returns the `srcset` of an original: every size with its width. */
export function srcset(key: string, settings: Settings): string {
  const sizes = Object.entries(WIDTHS) as [Size, number][];
  return sizes.map(([size, width]) => `${imageUrl(key, size, settings)} ${width}w`).join(", ");
}

/**
 * Verifies a callback of the service and returns the ended job. `body` is the unmodified request body. A `webhook-id`
 * that was received before is a repeated delivery. Throws Forged if the secret did not sign it, or if it is older than
 * five minutes.
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
  const id = `msg_${crypto.randomUUID()}`; // one id for all attempts, so that a retry returns the same job
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

/** Returns a number from 0 to 99.99, derived from the key: FNV-1a (32 bits), mixed by the finalizer of MurmurHash3. */
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
    // a failing listener must not fail the upload
  }
}

function sentence(fault: unknown): string {
  return fault instanceof Error ? fault.message : String(fault);
}
