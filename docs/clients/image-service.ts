/**
 * A client of the image service: one file without dependencies, to copy into a site. It needs only what Node 20, an edge
 * runtime or a browser provides: fetch and Web Crypto. It signs and posts jobs, waits for them, verifies callbacks, and
 * builds `<img>` and `<picture>`. Post jobs on the server only, because that requires the secret.
 *
 * Signatures follow Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256 over id, time and body.
 */

export interface Service {
  /** Base URL of the service, without a trailing slash. */
  url: string;
  /** `whsec_…`, one of the service's WEBHOOK_SECRETS; needed only to post jobs, if the service accepts no unsigned ones. */
  secret?: string | undefined;
  /** For tests, and for frameworks that provide their own. */
  fetch?: typeof fetch | undefined;
}

/** What to render: the sizes of an original, all of them by default. */
export interface Order {
  key: string;
  sizes?: string[];
  /** Renders again what is up to date. */
  force?: boolean;
  /** URL that the service calls when the job has ended; its CALLBACK_HOSTS must list the host. */
  callback_url?: string;
}

/** What a browser may upload, once; the other fields are for the job that follows. */
export interface UploadOrder extends Order {
  /** Replaces an original that exists; otherwise it is kept, and the upload is refused. */
  replace?: boolean;
  /** The only type that may be uploaded, such as `image/jpeg`. */
  content_type?: string;
  /** The only length that may be uploaded. */
  bytes?: number;
}

/** The URL to which a browser may put the original, and until when (ISO 8601). */
export interface OrderedUpload {
  upload_url: string;
  key: string;
  expires_at: string;
}

/** One rendered size; lengths in pixels and bytes, null if they are not known. */
export interface Rendered {
  size: string;
  url: string;
  width: number | null;
  height: number | null;
  bytes: number | null;
  content_type: string;
}

/** A job as the service returns it. */
export interface Job {
  id: string;
  key: string;
  status: "queued" | "processing" | "done" | "error";
  derivatives: Rendered[];
  /** The description of the picture, once the job is done. */
  picture?: Picture | null;
  /** The facts of the original; only callbacks of done jobs have them, and null if they could not be read. */
  facts?: Facts | null;
  error: { code: string; detail: string } | null;
}

/** What the metadata of an original contains, null where it has no plausible value; docs/facts.md of the service. */
export interface Facts {
  format: string;
  /** Pixels, upright. */
  width: number;
  height: number;
  /** ISO 8601, with an offset only if the file has one. */
  taken_at: string | null;
  camera: { make: string | null; model: string | null } | null;
  lens: { make: string | null; model: string | null } | null;
  /** Seconds, millimetres and EV. */
  exposure: Record<"seconds" | "f_number" | "iso" | "focal_length" | "focal_length_35mm" | "bias", number | null> & { flash: boolean | null } | null;
  /** Degrees and metres. */
  place: { latitude: number; longitude: number; altitude: number | null; accuracy: number | null } | null;
  creator: string | null;
  copyright: string | null;
  licence: string | null;
  caption: string | null;
  /** The reasons for which a field may be wrong. */
  uncertain: Record<string, string[]>;
  key: string;
  sha256: string;
  bytes: number;
}

/**
 * What a page needs to know of a picture: `GET /v1/images/<key>`. Width and height are those of the upright original.
 * They are null, as are colour and placeholder, for derivatives of an older version of the service.
 */
export interface Picture {
  key: string;
  width: number | null;
  height: number | null;
  /** The dominant colour, `#rrggbb`. */
  color?: string | null;
  placeholder?: { lqip?: string | null; thumbhash?: string | null } | null;
  /** All sizes, also crops and copies of the original. */
  sizes: Rendered[];
  /** `srcset` of each content type: whole pictures only, each width once. */
  srcset: Record<string, string>;
}

/** The service refused a request; `code` is the last part of the problem's `type`. */
export class ServiceError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(`the service responds with ${status}: ${detail}`);
    this.name = "ServiceError";
    this.status = status;
    this.code = code;
  }
}

/** A job that ended with an error. */
export class JobFailed extends Error {
  readonly job: Job;

  constructor(job: Job) {
    super(job.error?.detail ?? `job ${job.id} failed`);
    this.name = "JobFailed";
    this.job = job;
  }
}

/** A secret that the service would refuse, and that would verify forged callbacks; the message has the remedy. */
export class BadSecret extends Error {
  constructor(fault: string) {
    super(`${fault}; make one with: echo whsec_$(openssl rand -base64 32)`);
    this.name = "BadSecret";
  }
}

/** A callback that the service did not sign, or that is too old to be accepted. */
export class Forged extends Error {}

const DEADLINE_MS = 60_000;
const UPLOAD_MS = 600_000;
const LOOK_EVERY_MS = [100, 200, 400, 800];
const RETRY_AFTER_MS = 1_000;
const TOLERANCE_SECONDS = 300;
const SECRET = /^whsec_([A-Za-z0-9+/]{32,})={0,2}$/;

/**
 * Posts a job. A 503 is retried after its `Retry-After`, until `until` (milliseconds since the epoch, by default in 60 s).
 *
 * Throws ServiceError if the service refuses, BadSecret if the secret is empty, short or no base64, and other errors if
 * the service is unreachable or exceeds the deadline.
 */
export async function postJob(service: Service, order: Order, until = Date.now() + DEADLINE_MS): Promise<Job> {
  return post<Job>(service, "/v1/jobs", order, until);
}

/**
 * Orders a URL to which a browser may put one original, on the server only. The URL is absolute. It is valid for some
 * minutes, and for one upload. Throws as `postJob` does.
 */
export async function orderUpload(service: Service, order: UploadOrder, until = Date.now() + DEADLINE_MS): Promise<OrderedUpload> {
  const issued = await post<OrderedUpload>(service, "/v1/uploads", order, until);
  return { ...issued, upload_url: absolute(issued.upload_url, service.url) };
}

/** Puts an original to its URL, and returns its job. With XMLHttpRequest, a browser can also report the progress. */
export async function upload(service: Service, url: string, file: Blob, until = Date.now() + UPLOAD_MS): Promise<Job> {
  const signal = AbortSignal.timeout(Math.max(1, until - Date.now()));
  return read<Job>(await (service.fetch ?? fetch)(url, { method: "PUT", body: file, signal, redirect: "manual" }));
}

async function post<T>(service: Service, address: string, order: Order, until: number): Promise<T> {
  const body = JSON.stringify(order);
  const id = `msg_${crypto.randomUUID()}`; // one id for all attempts, so that a retry returns the same result
  for (;;) {
    const headers = { "content-type": "application/json", ...(await signature(id, body, service.secret)) };
    const answer = await ask(service, address, { method: "POST", body, headers }, until);
    const seconds = Number(answer.headers.get("retry-after"));
    const ms = seconds > 0 ? seconds * 1000 : RETRY_AFTER_MS;
    if (answer.status !== 503 || Date.now() + ms >= until) {
      return read<T>(answer);
    }
    await answer.body?.cancel();
    await sleep(ms, until);
  }
}

/** Waits until a job has ended and returns it, by default for 60 s. Throws JobFailed if it ended with an error. */
export async function waitForJob(service: Service, job: Job, until = Date.now() + DEADLINE_MS): Promise<Job> {
  let seen = job;
  for (let look = 0; seen.status === "queued" || seen.status === "processing"; look++) {
    await sleep(LOOK_EVERY_MS[Math.min(look, LOOK_EVERY_MS.length - 1)]!, until);
    seen = await read<Job>(await ask(service, `/v1/jobs/${job.id}`, {}, until));
  }
  if (seen.status === "error") {
    throw new JobFailed(seen);
  }
  return seen;
}

/** Returns what a page needs to know of a picture. The service renders it first, if it is not rendered yet. */
export async function readPicture(service: Service, key: string, until = Date.now() + DEADLINE_MS): Promise<Picture> {
  return read<Picture>(await ask(service, `/v1/images/${path(key)}`, {}, until));
}

/** Returns the URL of a size of an original, or of the original itself; the service renders it on the first view. */
export function imageUrl(service: Service, key: string, size: string): string {
  return `${service.url}/img/${path(key)}/${size}`;
}

/**
 * Verifies a callback of the service and returns the ended job. `body` is the unmodified request body. `secrets` are
 * those of CALLBACK_SECRETS, or else of WEBHOOK_SECRETS; while one replaces another, pass both. A `webhook-id` that was
 * received before is a repeated delivery.
 *
 * Throws Forged if none of the secrets signed it, or if it is older than five minutes, and BadSecret if there is no
 * secret, or one of them is empty, short or no base64.
 */
export async function readCallback(body: string, headers: Headers, ...secrets: string[]): Promise<Job> {
  if (secrets.length === 0) {
    throw new BadSecret("a callback cannot be verified without a secret");
  }
  const keys = await Promise.all(secrets.map((secret) => hmacKey(secret, "verify")));
  const [id, time, signatures] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => headers.get(name));
  if (!id || !time || !signatures || !(Math.abs(Date.now() / 1000 - Number(time)) <= TOLERANCE_SECONDS)) {
    throw new Forged("this is no callback of the service, or an old one");
  }
  const signed = text(`${id}.${time}.${body}`);
  for (const signature of signatures.split(" ")) {
    const [version, code] = signature.split(",");
    for (const key of version === "v1" && code ? keys : []) {
      if (await crypto.subtle.verify("HMAC", key, bytes(code!), signed)) {
        return (JSON.parse(body) as { data: Job }).data;
      }
    }
  }
  throw new Forged("the callback is signed by another secret");
}

/** How to show a picture. */
export interface Display {
  /** What the picture shows, for people who do not see it; empty if it only decorates. */
  alt: string;
  /** How wide the page shows it, as for the attribute `sizes`; default: as wide as the window. */
  sizes?: string;
  /** CSS pixels of the `src` that programs load which do not know `srcset`; default 800. */
  width?: number;
  /** Whether browsers may load it when it comes near the window; false for the pictures at the top of a page. */
  lazy?: boolean;
  /** Base URL for URLs that are only a path, as those of a file store are. */
  base?: string | undefined;
  /**
   * The `src` while there is no picture, or none with a `srcset`, such as `imageUrl(service, key, "medium")`. Without it,
   * nothing is written.
   */
  otherwise?: string | undefined;
}

/** A picture, or its absence until its job has ended. */
type MaybePicture = Picture | null | undefined;

/** Returns the attributes of an `<img>`, by their names in HTML; none if there is nothing to show. */
export function attributes(picture: MaybePicture, display: Display): Record<string, string> {
  const type = mainType(picture);
  const shown = candidates(picture, type);
  const fallback = (shown.find((one) => one.width >= (display.width ?? 800)) ?? shown[shown.length - 1])?.url ?? display.otherwise;
  if (!fallback) {
    return {};
  }
  const [width, height] = shapeOf(picture);
  const style = placeholder(picture);
  return {
    src: absolute(fallback, display.base),
    ...(shown.length > 0 ? { srcset: srcset(picture, type, display.base), sizes: display.sizes ?? "100vw" } : {}),
    ...(width && height ? { width: String(width), height: String(height) } : {}),
    alt: display.alt,
    ...(display.lazy === false ? { fetchpriority: "high" } : { loading: "lazy" }),
    decoding: "async",
    ...(style ? { style } : {}),
  };
}

/** Returns the HTML of a picture: an `<img>`, within a `<picture>` if the service renders several types, or nothing. */
export function html(picture: MaybePicture, display: Display): string {
  const values = attributes(picture, display);
  if (!values["src"]) {
    return "";
  }
  const img = tag("img", values);
  const types = otherTypes(picture);
  if (types.length === 0) {
    return img;
  }
  const sizes = display.sizes ?? "100vw";
  const sources = types.map((type) => tag("source", { type, srcset: srcset(picture, type, display.base), sizes }));
  return `<picture>${sources.join("")}${img}</picture>`;
}

/**
 * Returns the `srcset` of one content type, by default of the type that every browser displays. It is the one of the
 * service: whole pictures, each width once. Crops and copies of the original are not offered.
 */
export function srcset(picture: MaybePicture, type = mainType(picture), base?: string): string {
  return candidates(picture, type).map((one) => `${absolute(one.url, base)} ${one.width}w`).join(", ");
}

/** Returns CSS that shows the placeholder behind a picture without alpha until it is loaded, or nothing. */
export function placeholder(picture: MaybePicture): string {
  if (!picture || mainType(picture) !== "image/jpeg") {
    return ""; // it would remain visible through the transparent parts of the picture
  }
  const color = /^#[0-9a-f]{6}$/i.test(picture.color ?? "") ? picture.color : "";
  const lqip = picture.placeholder?.lqip ?? "";
  const image = /^data:image\/[a-z]+;base64,[A-Za-z0-9+/=]+$/.test(lqip) ? `url(${lqip}) center/cover no-repeat` : "";
  const layers = [color, image].filter(Boolean).join(" ");
  return layers ? `background:${layers}` : "";
}

/** Returns the type that every browser shows, which is that of the `<img>`; only whole pictures count. */
function mainType(picture: MaybePicture): string {
  const types = Object.keys(picture?.srcset ?? {});
  return ["image/jpeg", "image/png", "image/gif", "image/webp"].find((type) => types.includes(type)) ?? types[0] ?? "";
}

function otherTypes(picture: MaybePicture): string[] {
  const main = mainType(picture);
  return ["image/avif", "image/webp"].filter((type) => type !== main && candidates(picture, type).length > 0);
}

/** Returns the width and the height of the original, or of the widest whole picture. */
function shapeOf(picture: MaybePicture): [number, number] {
  if (!picture || (picture.width && picture.height)) {
    return [picture?.width ?? 0, picture?.height ?? 0];
  }
  const types = Object.keys(picture.srcset ?? {});
  const whole = new Set(types.flatMap((type) => candidates(picture, type).map((one) => one.url)));
  return picture.sizes.reduce<[number, number]>(
    (widest, { url, width, height }) => (whole.has(url) && (width ?? 0) > widest[0] ? [width ?? 0, height ?? 0] : widest),
    [0, 0],
  );
}

/** Returns the URLs and the widths that the service offers of a type, from the narrowest up. */
function candidates(picture: MaybePicture, type: string): { url: string; width: number }[] {
  const found = (picture?.srcset?.[type] ?? "").matchAll(/(?:^|, )(\S+) ([0-9]+)w/g);
  return Array.from(found, ([, url, width]) => ({ url: url!, width: Number(width) }));
}

function absolute(url: string, base?: string): string {
  return base ? new URL(url, base).href : url;
}

function tag(name: string, values: Record<string, string>): string {
  return `<${name} ${Object.entries(values).map(([key, value]) => `${key}="${escaped(value)}"`).join(" ")}>`;
}

function escaped(value: string): string {
  return value.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

async function ask(service: Service, address: string, request: RequestInit, until: number): Promise<Response> {
  const signal = AbortSignal.timeout(Math.max(1, until - Date.now()));
  return (service.fetch ?? fetch)(service.url + address, { ...request, signal, redirect: "manual" });
}

async function read<T>(answer: Response): Promise<T> {
  const body = await answer.text();
  if (!answer.ok) {
    const { type, detail } = problem(body);
    throw new ServiceError(answer.status, (type ?? "").split("/").pop()!, detail ?? body.slice(0, 200));
  }
  return JSON.parse(body) as T;
}

function problem(body: string): { type?: string; detail?: string } {
  try {
    return JSON.parse(body) as { type?: string; detail?: string };
  } catch {
    return {};
  }
}

async function signature(id: string, body: string, secret: string | undefined): Promise<Record<string, string>> {
  if (secret === undefined) {
    return { "webhook-id": id };
  }
  const time = Math.floor(Date.now() / 1000);
  const code = await crypto.subtle.sign("HMAC", await hmacKey(secret, "sign"), text(`${id}.${time}.${body}`));
  const encoded = btoa(String.fromCharCode(...new Uint8Array(code)));
  return { "webhook-id": id, "webhook-timestamp": String(time), "webhook-signature": `v1,${encoded}` };
}

async function hmacKey(secret: string, use: "sign" | "verify"): Promise<CryptoKey> {
  const key = SECRET.exec(secret)?.[1] ?? "";
  if (!key || key.length % 4 === 1) {
    throw new BadSecret(
      "the secret is not whsec_ followed by at least 24 bytes in base64; set it to one of the WEBHOOK_SECRETS or " +
        "CALLBACK_SECRETS of the service",
    );
  }
  return crypto.subtle.importKey("raw", bytes(key), { name: "HMAC", hash: "SHA-256" }, false, [use]);
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

async function sleep(ms: number, until: number): Promise<void> {
  if (Date.now() + ms >= until) {
    throw new Error("the service did not finish in time");
  }
  await new Promise((wake) => setTimeout(wake, ms));
}
