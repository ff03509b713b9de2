/**
 * The site's half of the cut-over. It posts a job when an original was uploaded, falls back to the old code if that
 * fails, and builds the URLs of pictures. It needs the client `image-service.ts` of docs/clients beside it, and nothing
 * else. Post jobs on the server only, because that requires the secret.
 */
import { imageUrl as viewUrl, JobFailed, postJob, ServiceError, waitForJob, type Job, type Service } from "./image-service";

export { Forged, readCallback, type Job } from "./image-service";

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

/** Both the service and the old code failed. The original is still in the store, so the call can be retried. */
export class NotMade extends Error {
  constructor(readonly key: string, readonly service: unknown, readonly old: unknown) {
    super(`no sizes of ${key}: ${sentence(service)}; and the old way: ${sentence(old)}`);
    this.name = "NotMade";
  }
}

const DEADLINE_MS = 10_000;

/** The code of the error for an original that was taken down: the old code would bring it back. */
const TAKEN_DOWN = "taken-down";

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
  if (codeOf(fault) === TAKEN_DOWN) {
    return tell(settings, { key, by: "service", ms: Date.now() - began, fault: sentence(fault) });
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
  if (job.error?.code === TAKEN_DOWN) {
    return tell(settings, { key: job.key, by: "service", ms: 0, fault });
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
  return waitForJob(service(settings), await post(key, settings, until), until);
}

/** Returns the URL of a size of an original, or of the original itself; the service renders it on the first view. */
export function imageUrl(key: string, size: Size | "original", settings: Settings): string {
  if (isByService(key, settings.rollout)) {
    return viewUrl(service(settings), key, size);
  }
  return `${settings.publicUrl}/${path(key.replace(/_original(?=\.[^.]*$)/, `_${size}`))}`;
}

/**
 * Returns the `srcset` of an original that is `width` pixels wide, upright. The service enlarges nothing, so each size is
 * offered with its true width, once; a size of the old code, which enlarged, has the width of its name.
 */
export function srcset(key: string, width: number, settings: Settings): string {
  const sizes = Object.entries(WIDTHS) as [Size, number][];
  const most = isByService(key, settings.rollout) ? width : Infinity;
  const first = sizes.findIndex(([, one]) => one >= most);
  const offered = first < 0 ? sizes : sizes.slice(0, first + 1);
  return offered.map(([size, one]) => `${imageUrl(key, size, settings)} ${Math.min(one, most)}w`).join(", ");
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

function post(key: string, settings: Settings, until: number): Promise<Job> {
  const order = settings.callbackUrl ? { key, callback_url: settings.callbackUrl } : { key };
  return postJob(service(settings), order, until);
}

function service(settings: Settings): Service {
  const { serviceUrl: url, secret, fetch } = settings;
  return { url, ...(secret ? { secret } : {}), ...(fetch ? { fetch } : {}) };
}

function codeOf(fault: unknown): string | undefined {
  return fault instanceof JobFailed ? fault.job.error?.code : fault instanceof ServiceError ? fault.code : undefined;
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
