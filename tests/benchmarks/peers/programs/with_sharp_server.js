// sharp as a server: GET /<width>/<quality>/<key> renders the file below the folder; quality 0 is sharp's default.
// node with_sharp_server.js PORT FOLDER [RENDERS]: with RENDERS, so many at once, one thread each, and no cache.
const http = require("node:http");
const path = require("node:path");
const sharp = require("sharp");

const [port, folder, renders] = process.argv.slice(2);
const most = renders ? Number(renders) : Infinity;
if (renders) {
  sharp.concurrency(1);
  sharp.cache(false);
}
let running = 0;
const waiting = [];

async function render(width, quality, key) {
  if (running >= most) await new Promise((granted) => waiting.push(granted));
  running += 1;
  try {
    const resized = sharp(path.join(folder, key)).autoOrient().resize({ width, withoutEnlargement: true });
    return await resized.jpeg(quality ? { quality } : {}).toBuffer();
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

http
  .createServer(async (request, response) => {
    const [, width, quality, ...key] = decodeURIComponent(request.url).split("/");
    try {
      const body = await render(Number(width), Number(quality), key.join("/"));
      response.writeHead(200, { "content-type": "image/jpeg", "content-length": body.length }).end(body);
    } catch (fault) {
      response.writeHead(fault.message.includes("missing") ? 404 : 500).end(String(fault));
    }
  })
  .listen(Number(port), "127.0.0.1");
