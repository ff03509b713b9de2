// What the site's backend does today, step by step: Jimp decodes the original, shrinks it to 300 pixels in place, and goes
// on from there, so that every larger size is blown up from a smaller one, and written at quality 100.
//
//   node old-backend.mjs FOLDER < keys        one key a line; derivatives are written beside their originals
import { mkdir, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { Jimp } from "jimp";

export const SIZES = { small: 300, medium: 800, large: 1200, xlarge: 2000 };

/** Make all sizes of an original in a folder, as the site does. */
export async function createOtherSizes(folder, key) {
  const picture = await Jimp.read(join(folder, key));
  for (const [size, width] of Object.entries(SIZES)) {
    picture.resize({ w: width });
    const path = join(folder, key.replace("_original.", `_${size}.`));
    await mkdir(dirname(path), { recursive: true });
    await picture.write(path.replace(/(\.[^.]*)$/, ".new$1"), { quality: 100 });
    await rename(path.replace(/(\.[^.]*)$/, ".new$1"), path);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for await (const key of createInterface({ input: process.stdin })) {
    await createOtherSizes(process.argv[2], key).then(
      () => console.log(JSON.stringify({ key })),
      (fault) => console.log(JSON.stringify({ key, fault: fault.message })),
    );
  }
}
