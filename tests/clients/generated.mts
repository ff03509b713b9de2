// Posts a signed job with types that openapi-typescript generated, and waits for its end.

import { createHmac, randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url = "", secret = "", key = ""] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url });

function signed(content: string) {
  const id = `msg_${randomUUID()}`;
  const timestamp = String(Math.floor(Date.now() / 1000));
  const bytes = Buffer.from(secret.replace("whsec_", ""), "base64");
  const mac = createHmac("sha256", bytes).update(`${id}.${timestamp}.${content}`).digest("base64");
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${mac}` };
}

const body = { key };
const posted = await client.POST("/v1/jobs", { body, params: { header: signed(JSON.stringify(body)) } });
if (!posted.data) throw new Error(posted.error.detail);

let job: components["schemas"]["Job"] = posted.data;
while (job.status !== "done" && job.status !== "error") {
  await new Promise((resolve) => setTimeout(resolve, 50));
  const found = await client.GET("/v1/jobs/{job_id}", { params: { path: { job_id: job.id } } });
  if (!found.data) throw new Error(found.error.detail);
  job = found.data;
}
console.log(job.status, job.derivatives.length);
