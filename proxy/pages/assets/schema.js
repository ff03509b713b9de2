// Signs requests in the browser and sends them. The secret never leaves this page.

const secret = document.querySelector("#secret");
const ask = document.querySelector(".ask");

const bytesOf = (text) => new TextEncoder().encode(text);
const base64Of = (bytes) => btoa(String.fromCharCode(...bytes));

function keyOf(text) {
  const encoded = text.trim().replace(/^whsec_/, "");
  return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
}

async function signed(content) {
  if (!crypto.subtle) throw new Error("Browsers sign only on pages that are loaded over https or from localhost.");
  const id = `msg_${crypto.randomUUID()}`;
  const timestamp = String(Math.floor(Date.now() / 1000));
  let raw;
  try {
    raw = keyOf(secret.value);
  } catch {
    throw new Error("The secret is not whsec_ followed by base64.");
  }
  const key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const mac = await crypto.subtle.sign("HMAC", key, bytesOf(`${id}.${timestamp}.${content}`));
  return {
    "webhook-id": id,
    "webhook-timestamp": timestamp,
    "webhook-signature": `v1,${base64Of(new Uint8Array(mac))}`,
  };
}

function addressOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll('[data-in="path"]')) {
    const value = input.value.split("/").map(encodeURIComponent).join("/");
    path = path.replace(`{${input.name}}`, () => value);
  }
  for (const input of form.querySelectorAll('[data-in="query"]')) {
    if (input.value) query.append(input.name, input.value);
  }
  return query.size ? `${path}?${query}` : path;
}

// Asks before a request that deletes, or that acts on many jobs; Escape sends nothing.
async function isWanted(form, address) {
  const { method, question, effect, button } = form.dataset;
  if (!question) return true;
  ask.querySelector("h2").textContent = question;
  ask.querySelector("#ask-effect").textContent = effect;
  ask.querySelector("code").textContent = `${method} ${address}`;
  ask.querySelector('[value="yes"]').textContent = button;
  ask.returnValue = "";
  ask.showModal();
  await new Promise((resolve) => ask.addEventListener("close", resolve, { once: true }));
  return ask.returnValue === "yes";
}

async function send(form, address) {
  const { method, signing } = form.dataset;
  const body = form.querySelector('[data-in="body"]')?.value;
  const token = form.querySelector('[data-in="bearer"]')?.value;
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  if (["body", "address"].includes(signing) && secret.value) {
    const origin = document.querySelector("[data-origin]")?.dataset.origin ?? "";
    Object.assign(headers, await signed(body ?? `${method} ${origin}${address}`));
  }
  const response = await fetch(address, { method, headers, body, redirect: "manual", cache: "no-store" });
  return response;
}

function add(parent, name, text, attributes = {}) {
  const element = Object.assign(document.createElement(name), attributes);
  element.textContent = text;
  parent.append(element);
  return element;
}

async function show(result, address, response) {
  result.replaceChildren();
  if (response.type === "opaqueredirect") {
    const line = add(result, "p", "A redirect to the derivative: ");
    add(line, "a", address, { href: address });
    return;
  }
  const kind = response.status < 400 ? "good" : response.status < 500 ? "warn" : "bad";
  const line = add(result, "p", "");
  add(line, "span", `${response.status} ${response.statusText}`, { className: `badge ${kind}` });
  add(line, "span", ` ${response.headers.get("x-request-id") ?? ""}`, { className: "quiet" });
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("image/")) {
    add(result, "p", `${type}, ${(await response.blob()).size} bytes`);
    return;
  }
  const text = await response.text();
  const shown = /json/.test(type) && text ? JSON.stringify(JSON.parse(text), null, 2) : text;
  if (shown) add(add(result, "pre", "", { tabIndex: 0 }), "code", shown);
}

for (const form of document.querySelectorAll(".try form")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const result = form.querySelector(".result");
    const button = form.querySelector("button");
    const address = addressOf(form);
    if (!(await isWanted(form, address))) {
      result.replaceChildren("Nothing was sent.");
      return;
    }
    button.disabled = true; // not before: the focus returns to it when the dialog closes
    try {
      await show(result, address, await send(form, address));
    } catch (error) {
      result.replaceChildren();
      add(result, "p", error.message, { className: "notice bad" });
    } finally {
      button.disabled = false;
    }
  });
}

document.querySelector(".secret").addEventListener("submit", (event) => event.preventDefault());
for (const element of document.querySelectorAll(".secret, .try")) element.hidden = false;
