// Jimp, asked a line at a time: one decode, then every width from a copy of it.
const { Jimp } = require("jimp");
const readline = require("node:readline");

async function answer({ path, folder, widths, options }) {
  const original = await Jimp.read(path);
  for (const width of widths) {
    await original.clone().resize({ w: width }).write(`${folder}/w${width}.jpg`, options[width]);
  }
}

(async () => {
  console.log("ready");
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const failed = await answer(JSON.parse(line)).then(() => null, (error) => error.message);
    console.log(JSON.stringify({ failed }));
  }
})();
