// The client for TypeScript, on a running service (SERVICE_URL, WEBHOOK_SECRET, KEY, NO_PICTURE), on secrets (BAD_SECRETS) and on pictures (PICTURES).
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { after, test } from "node:test";

import * as client from "./image-service.js";

const { SERVICE_URL, WEBHOOK_SECRET, OTHER_SECRET, BAD_SECRETS, KEY, NO_PICTURE, CALLBACK_PORT, PICTURES, HTML } = process.env;
const UPLOADED = "gall/60/60 ü_1_original.jpg";
const pictures = JSON.parse(PICTURES);
const service = { url: SERVICE_URL, secret: WEBHOOK_SECRET };
const until = () => Date.now() + 30_000;

const servers = [];
after(() => servers.forEach((server) => server.close().closeAllConnections()));

test("a job is signed and waited for, and its callback is verified from the raw body", async () => {
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
  const order = { key: KEY, sizes: ["small", "medium"], callback_url: `http://127.0.0.1:${CALLBACK_PORT}/ended` };
  const job = await client.waitForJob(service, await client.postJob(service, order, until()), until());
  assert.deepEqual(job.derivatives.map(({ size, width }) => [size, width]), [["small", 300], ["medium", 512]]);
  const { body, headers } = await arrived;
  assert.deepEqual((await client.readCallback(body, headers, WEBHOOK_SECRET)).derivatives, job.derivatives);
  assert.equal((await client.readCallback(body, headers, OTHER_SECRET, WEBHOOK_SECRET)).id, job.id);
  await assert.rejects(client.readCallback(`${body} `, headers, WEBHOOK_SECRET), client.Forged);
  await assert.rejects(client.readCallback(body, headers, OTHER_SECRET), client.Forged);
});

test("an upload is ordered on the server, and the browser puts the file to its URL", async () => {
  const photo = new Blob([await (await fetch(client.imageUrl(service, KEY, "medium"))).arrayBuffer()]);
  const { upload_url, key, expires_at } = await client.orderUpload(service, { key: UPLOADED, bytes: photo.size, sizes: ["small"] }, until());
  assert.equal(key, UPLOADED);
  assert.ok(Date.parse(expires_at) > Date.now());
  const job = await client.waitForJob(service, await client.upload(service, upload_url, photo), until());
  assert.deepEqual(job.derivatives.map(({ size }) => size), ["small"]);
  const again = await client.upload(service, upload_url, photo).catch((error) => error);
  assert.deepEqual([again.name, again.status, again.code], ["ServiceError", 410, "upload-url-ended"]);
});

test("a secret that the service would refuse verifies no callback and posts no job", async () => {
  const body = JSON.stringify({ type: "job.done", data: { id: "1", key: KEY, status: "done" } });
  const refused = { name: "BadSecret", message: /openssl rand/ };
  for (const secret of JSON.parse(BAD_SECRETS)) {
    for (const key of ["", secret, Buffer.from(secret.replace(/^whsec_/, ""), "base64")]) {
      const headers = signedWith(key, body);
      await assert.rejects(client.readCallback(body, headers, secret), refused);
      await assert.rejects(client.readCallback(body, headers, WEBHOOK_SECRET, secret), refused);
      await assert.rejects(client.readCallback(body, headers, secret, WEBHOOK_SECRET), refused);
    }
    await assert.rejects(client.postJob({ url: "http://127.0.0.1:9", secret }, { key: KEY }), refused);
  }
  await assert.rejects(client.readCallback(body, signedWith("", body)), { name: "BadSecret", message: /without a secret/ });
  await assert.rejects(client.readCallback(body, signedWith("undefined", body), undefined), refused);
});

test("a description has the srcset that the client writes, and the job has the same description", async () => {
  const picture = await client.readPicture(service, KEY);
  assert.deepEqual(picture.srcset, { "image/jpeg": client.srcset(picture) });
  assert.deepEqual(client.srcset(picture).split(", ").map((one) => one.split(" ")[1]), ["300w", "512w"]);
  const job = await client.waitForJob(service, await client.postJob(service, { key: KEY }, until()), until());
  assert.deepEqual(job.picture, picture);
  const view = await fetch(client.imageUrl(service, KEY, "medium"));
  assert.equal(view.headers.get("content-type"), "image/jpeg");
  await view.arrayBuffer();
});

test("what the service refuses is thrown with its status and code", async () => {
  const failed = await client.postJob(service, { key: NO_PICTURE }, until()).then((job) => client.waitForJob(service, job, until())).catch((error) => error);
  assert.ok(failed instanceof client.JobFailed);
  assert.equal(failed.job.error.code, "not-an-image");
  const refused = await client.postJob({ ...service, secret: OTHER_SECRET }, { key: KEY }).catch((error) => error);
  assert.ok(refused instanceof client.ServiceError);
  assert.deepEqual([refused.status, refused.code], [401, "bad-signature"]);
});

test("the HTML is that of the client for Python", () => {
  const expected = JSON.parse(HTML);
  for (const [name, picture] of Object.entries(pictures)) {
    const display = { alt: '"a" & <b>', sizes: "50vw", base: "https://a.test/x/" };
    assert.equal(unescaped(client.html(picture, display)), unescaped(expected[name]), name);
    const otherwise = client.html(picture, { ...display, otherwise: "/img/a/medium" });
    assert.equal(unescaped(otherwise), unescaped(expected[`${name} otherwise`]), name);
    assert.equal(client.srcset(picture, undefined, display.base), expected[`${name} srcset`]);
  }
});

/** The headers of a callback that is signed with a key of any length. */
function signedWith(key, body) {
  const time = String(Math.floor(Date.now() / 1000));
  const code = createHmac("sha256", key).update(`msg_1.${time}.${body}`).digest("base64");
  return new Headers({ "webhook-id": "msg_1", "webhook-timestamp": time, "webhook-signature": `v1,${code}` });
}

/** Without the names of entities, which differ. */
function unescaped(html) {
  return html.replaceAll("&quot;", "&#34;").replaceAll("&amp;", "&#38;").replaceAll("&lt;", "&#60;").replaceAll("&gt;", "&#62;");
}
