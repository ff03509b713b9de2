// sharp, asked a line at a time: every width from the file anew, one after another, as its documentation shows.
const sharp = require("sharp");
const readline = require("node:readline");

sharp.concurrency(1);
sharp.cache(false);

async function answer({ path, folder, widths, format, options }) {
  for (const width of widths) {
    const resized = sharp(path).autoOrient().resize({ width, withoutEnlargement: true });
    const encoded = format === "png" ? resized.png({ compressionLevel: 1 }) : resized.jpeg(options[width]);
    await encoded.toFile(`${folder}/w${width}.${format}`);
  }
}

(async () => {
  console.log("ready");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    await answer(JSON.parse(line));
    console.log("{}");
  }
})();
