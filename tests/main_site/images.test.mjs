// The main site's half, on a service that runs (SERVICE_URL, WEBHOOK_SECRET, STORE) and on ones that do not as they should.
import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, stat } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";

import * as images from "./images.js";
import * as oldBackend from "./old-backend.mjs";

const { SERVICE_URL, WEBHOOK_SECRET, STORE, PHOTO, NO_PHOTO, CALLBACK_PORT } = process.env;
const DEADLINE_MS = 2_000;
/** Above the deadline, as the machine may be busy; below the 10 s that are the module's own. */
const IN_TIME_MS = 8_000;
/** Far above the deadline, as the machine may be busy; and far below for ever. */
const AT_LAST_MS = 30_000;

let number = 0;
const servers = [];
after(() => servers.forEach((server) => server.close().closeAllConnections()));

/** Upload an original, as the site's visitors do by a presigned PUT. */
async function upload(photo = PHOTO) {
  const key = `gall/58/58_${++number}_original.jpg`;
  await mkdir(dirname(join(STORE, key)), { recursive: true });
  await copyFile(photo, join(STORE, key));
  return key;
}

/** Settings of a site whose old way is the old backend's, and what it was told. */
function site(settings = {}) {
  const told = [];
  const byOldWay = [];
  return {
    told,
    byOldWay,
    serviceUrl: SERVICE_URL,
    publicUrl: "https://pictures.test",
    secret: WEBHOOK_SECRET,
    rollout: "on",
    deadlineMs: AT_LAST_MS,
    oldWay: async (key) => {
      byOldWay.push(key);
      await oldBackend.createOtherSizes(STORE, key);
    },
    tell: (event) => told.push(event),
    ...settings,
  };
}

/** Start a service that answers as it is told; give its address. */
async function answering(answer) {
  const server = createServer(answer);
  servers.push(server);
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  return `http://127.0.0.1:${server.address().port}`;
}

async function hasAllSizes(key) {
  for (const size of Object.keys(images.WIDTHS)) {
    assert.ok((await stat(join(STORE, key.replace("_original.", `_${size}.`)))).size > 0, `${size} of ${key}`);
  }
}

test("an upload gets its sizes by the service, and the old way is not gone", async () => {
  const [key, it] = [await upload(), site()];
  await images.createOtherSizes(key, it);
  await hasAllSizes(key);
  assert.deepEqual(it.byOldWay, []);
  assert.deepEqual(it.told.map(({ key, by, fault }) => ({ key, by, fault })), [{ key, by: "service", fault: undefined }]);
});

test("an edge runtime, whose fetch knows no redirect that is an error, orders as Node does", async () => {
  const asEdge = (address, request) =>
    ["follow", "manual"].includes(request.redirect) ? fetch(address, request) : Promise.reject(new TypeError("Invalid redirect value"));
  const [key, it] = [await upload(), site({ fetch: asEdge })];
  await images.createOtherSizes(key, it);
  assert.deepEqual(it.byOldWay, []);
});

test("what is looked at first is made then, and every address of a srcset leads to a picture", async () => {
  const key = await upload();
  const addresses = images.srcset(key, 2600, site()).split(", ");
  assert.equal(addresses.length, 4);
  for (const address of [...addresses, `${images.imageUrl(key, "original", site())} 0w`]) {
    const [url, width] = address.split(" ");
    const answer = await fetch(url);
    assert.equal(answer.status, 200, `${url} ${width}`);
    assert.equal(answer.headers.get("content-type"), "image/jpeg");
    await answer.arrayBuffer();
  }
});

test("a small original is offered at its own width, once", async () => {
  const key = await upload();
  for (const [width, widths] of [[100, "100w"], [300, "300w"], [512, "300w 512w"], [1200, "300w 800w 1200w"], [9000, "300w 800w 1200w 2000w"]]) {
    const offered = images.srcset(key, width, site()).split(", ").map((one) => one.split(" ")[1]);
    assert.equal(offered.join(" "), widths);
  }
  const old = images.srcset(key, 100, site({ rollout: "off" })).split(", ").map((one) => one.split(" ")[1]);
  assert.equal(old.join(" "), "300w 800w 1200w 2000w");
});

test("keys with spaces, plus, percent and every script come through", async () => {
  const key = "gall/58/58_a b+c%2F ü 花_original.jpg";
  await mkdir(join(STORE, "gall/58"), { recursive: true });
  await copyFile(PHOTO, join(STORE, key));
  await images.createOtherSizes(key, site());
  await hasAllSizes(key);
  const answer = await fetch(images.imageUrl(key, "small", site()));
  assert.equal(answer.status, 200);
});

const TROUBLES = {
  "is down": async () => "http://127.0.0.1:9",
  "does not answer": () => answering(() => {}),
  "answers by the byte": () =>
    answering((_, answer) => {
      answer.writeHead(202);
      const drip = setInterval(() => answer.write(" "), 100);
      answer.on("close", () => clearInterval(drip));
    }),
  "has no room": () => answering((_, answer) => answer.writeHead(503, { "retry-after": "1" }).end("{}")),
  "has no room for an hour": () => answering((_, answer) => answer.writeHead(503, { "retry-after": "3600" }).end("{}")),
  "fails": () => answering((_, answer) => answer.writeHead(500).end("oops")),
  "cuts connections": () => answering((request) => request.socket.destroy()),
  "cuts its answer": () =>
    answering((_, answer) => {
      answer.writeHead(202, { "content-length": "1000" });
      answer.write('{"id":');
      setTimeout(() => answer.socket?.destroy(), 50);
    }),
  "answers nonsense": () => answering((_, answer) => answer.writeHead(202).end("<html>")),
  "leads elsewhere": () => answering((_, answer) => answer.writeHead(307, { location: "http://127.0.0.1:9/" }).end()),
  "never comes to an end": () => answering((_, answer) => answer.writeHead(202).end('{"id": "1", "status": "queued"}')),
};

for (const [trouble, serve] of Object.entries(TROUBLES)) {
  test(`a service that ${trouble} loses no upload: the old way is gone within the deadline`, async () => {
    const [key, it] = [await upload(), site({ serviceUrl: await serve(), deadlineMs: DEADLINE_MS })];
    let givenUpAfter = Number.POSITIVE_INFINITY;
    const began = Date.now();
    const { oldWay } = it;
    it.oldWay = async (one) => {
      givenUpAfter = Date.now() - began;
      await oldWay(one);
    };
    await images.createOtherSizes(key, it);
    await hasAllSizes(key);
    assert.deepEqual(it.byOldWay, [key]);
    assert.equal(it.told.length, 1);
    assert.equal(it.told[0].by, "old way");
    assert.ok(it.told[0].fault.length > 3, it.told[0].fault);
    assert.ok(givenUpAfter < IN_TIME_MS, `given up after ${givenUpAfter} ms`);
  });
}

test("a service that has room again in time makes it, and knows the order for the same", async () => {
  const ids = [];
  const serviceUrl = await answering((request, answer) => {
    if (request.method === "POST" && ids.push(request.headers["webhook-id"]) < 3) {
      return answer.writeHead(503, { "retry-after": "0" }).end("{}");
    }
    answer.writeHead(202).end('{"id": "1", "status": "done", "derivatives": [], "error": null}');
  });
  const [key, it] = [await upload(), site({ serviceUrl })];
  await images.createOtherSizes(key, it);
  assert.deepEqual(it.byOldWay, []);
  assert.equal(ids.length, 3);
  assert.equal(new Set(ids).size, 1);
});

test("another secret is refused, and the old way is gone", async () => {
  const [key, it] = [await upload(), site({ secret: `whsec_${btoa("another secret, of no use here")}` })];
  await images.createOtherSizes(key, it);
  assert.deepEqual(it.byOldWay, [key]);
  assert.match(it.told[0].fault, /401/);
});

test("what neither can make is told with both reasons, and the original stays", async () => {
  const [key, it] = [await upload(NO_PHOTO), site()];
  const fault = await images.createOtherSizes(key, it).catch((error) => error);
  assert.ok(fault instanceof images.NotMade);
  assert.match(fault.message, /not a picture|no picture|image/i);
  assert.ok((await stat(join(STORE, key))).size > 0);
});

test("in the shadow the old way is gone, the service is ordered, and its faults are nobody's", async () => {
  for (const serviceUrl of [SERVICE_URL, "http://127.0.0.1:9"]) {
    let whole;
    const heard = new Promise((ready) => (whole = ready));
    const [key, it] = [await upload(), site({ rollout: "shadow", serviceUrl, tell: (event) => whole(event) })];
    await images.createOtherSizes(key, it);
    assert.deepEqual(it.byOldWay, [key]);
    const event = await heard;
    assert.equal(event.by, "shadow");
    assert.equal(event.fault === undefined, serviceUrl === SERVICE_URL);
    assert.equal(images.imageUrl(key, "small", it), `https://pictures.test/${key.replace("original", "small")}`);
  }
});

test("in the shadow a job that failed is only told: the old way was gone when the original was uploaded", async () => {
  const it = site({ rollout: "shadow" });
  const error = { code: "corrupt", detail: "It ends early." };
  await images.settle({ id: "1", key: "gall/58/58_0_original.jpg", status: "error", derivatives: [], error }, it);
  assert.deepEqual(it.byOldWay, []);
  assert.deepEqual(it.told.map(({ by, fault }) => ({ by, fault })), [{ by: "shadow", fault: "It ends early." }]);
});

test("what was taken down does not come back by the old way", async () => {
  const error = { code: "taken-down", detail: "It was taken down." };
  const refusal = JSON.stringify({ type: "https://images.test/problems/taken-down", detail: error.detail });
  const failure = JSON.stringify({ id: "1", status: "error", error });
  for (const [status, body] of [[409, refusal], [202, failure]]) {
    const it = site({ serviceUrl: await answering((_, answer) => answer.writeHead(status).end(body)) });
    await images.createOtherSizes(await upload(), it);
    await images.settle({ id: "1", key: "gall/58/58_0_original.jpg", status: "error", derivatives: [], error }, it);
    assert.deepEqual(it.byOldWay, []);
    assert.deepEqual(it.told.map(({ by }) => by), ["service", "service"]);
  }
});

test("off is as before, without a word to the service", async () => {
  const [key, it] = [await upload(), site({ rollout: "off", fetch: () => assert.fail("the service was asked") })];
  await images.createOtherSizes(key, it);
  assert.deepEqual(it.byOldWay, [key]);
  await hasAllSizes(key);
});

test("a share is the same originals always, grows by more of them, and is as large as it is said to be", () => {
  const keys = Array.from({ length: 20_000 }, (_, one) => `gall/${one % 900}/${one % 900}_${1586986467 + one}_original.jpg`);
  let earlier = [];
  for (const share of [0, 1, 10, 50, 100]) {
    const chosen = keys.filter((key) => images.isByService(key, share));
    assert.ok(Math.abs(chosen.length / keys.length - share / 100) < 0.01, `${share} %: ${chosen.length}`);
    assert.deepEqual(chosen, keys.filter((key) => images.isByService(key, share)));
    const there = new Set(chosen);
    assert.ok(earlier.every((key) => there.has(key)), `${share} % lacks some of a smaller share`);
    earlier = chosen;
  }
});

test("a share is the originals of the other client of the site", async () => {
  const { buckets } = JSON.parse(await readFile(process.env.VECTORS, "utf8"));
  for (const [key, bucket] of Object.entries(buckets)) {
    assert.ok(images.isByService(key, bucket + 0.01) && !images.isByService(key, bucket), key);
  }
});

test("a rollout is read from a word, and nonsense is none", () => {
  const words = { off: "off", "": "off", shadow: "shadow", on: "on", 10: 10, "0.5 %": 0.5, " 100% ": 100 };
  for (const [word, rollout] of Object.entries(words)) {
    assert.equal(images.rolloutOf(word), rollout);
  }
  assert.equal(images.rolloutOf(undefined), "off");
  for (const word of ["ON", "101", "-1", "half"]) {
    assert.throws(() => images.rolloutOf(word), /is no rollout/);
  }
});

test("where callbacks are taken an upload waits for the queue only, and a job that failed falls back", async () => {
  const bodies = [];
  const serviceUrl = await answering(async (request, answer) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    bodies.push(JSON.parse(body));
    answer.writeHead(202).end('{"id": "1", "status": "queued"}');
  });
  const callbackUrl = "https://www.test/ended";
  const [key, it] = [await upload(), site({ serviceUrl, callbackUrl })];
  await images.createOtherSizes(key, it);
  assert.deepEqual(bodies, [{ key, callback_url: callbackUrl }]);
  const job = { id: "1", key, derivatives: [], error: null };
  await images.settle({ ...job, status: "done" }, it);
  assert.deepEqual(it.byOldWay, []);
  await images.settle({ ...job, status: "error", error: { code: "corrupt", detail: "It ends early." } }, it);
  assert.deepEqual(it.byOldWay, [key]);
  assert.equal(it.told.at(-1).fault, "It ends early.");
  await hasAllSizes(key);
});

test("a callback of the service is read, and none that it did not send", async () => {
  const arrived = new Promise((ready) => {
    const server = createServer((request, answer) => {
      let body = "";
      request.on("data", (chunk) => (body += chunk)).on("end", () => {
        answer.writeHead(204).end();
        ready({ body, headers: new Headers(request.headers) });
      });
    });
    servers.push(server);
    server.listen(Number(CALLBACK_PORT), "127.0.0.1");
  });
  const key = await upload();
  const body = JSON.stringify({ key, callback_url: `http://127.0.0.1:${CALLBACK_PORT}/ended` });
  const time = Math.floor(Date.now() / 1000);
  const raw = Uint8Array.from(atob(WEBHOOK_SECRET.slice(6)), (character) => character.charCodeAt(0));
  const hmac = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const code = await crypto.subtle.sign("HMAC", hmac, new TextEncoder().encode(`msg_1.${time}.${body}`));
  const signature = `v1,${btoa(String.fromCharCode(...new Uint8Array(code)))}`;
  const headers = { "webhook-id": "msg_1", "webhook-timestamp": `${time}`, "webhook-signature": signature };
  assert.equal((await fetch(`${SERVICE_URL}/v1/jobs`, { method: "POST", body, headers })).status, 202);

  const callback = await arrived;
  const job = await images.readCallback(callback.body, callback.headers, WEBHOOK_SECRET);
  assert.deepEqual([job.key, job.status, job.derivatives.length], [key, "done", 4]);
  const wrong = [
    [`${callback.body} `, callback.headers, WEBHOOK_SECRET],
    [callback.body, callback.headers, `whsec_${btoa("another secret, of no use here")}`],
    [callback.body, new Headers(), WEBHOOK_SECRET],
    [callback.body, new Headers({ ...Object.fromEntries(callback.headers), "webhook-timestamp": "1" }), WEBHOOK_SECRET],
    [callback.body, new Headers({ ...Object.fromEntries(callback.headers), "webhook-signature": "v1,%" }), WEBHOOK_SECRET],
  ];
  for (const [text, headers, secret] of wrong) {
    await assert.rejects(images.readCallback(text, headers, secret), images.Forged);
  }
});

before(() => assert.ok(SERVICE_URL && WEBHOOK_SECRET && STORE && PHOTO, "tests/main_site/test_images.py runs this"));
