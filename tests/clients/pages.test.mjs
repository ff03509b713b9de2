// The snippets of docs/pages.md that are JavaScript or TypeScript: pages.json has them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import ts from "typescript";

const require = createRequire(import.meta.url);
const snippets = JSON.parse(readFileSync("pages.json", "utf-8"));
const CommonJS = ts.ModuleKind.CommonJS;

/** Returns what a snippet exports; `globals` are what it finds around it. */
function run(source, globals = {}) {
  const { outputText, diagnostics } = ts.transpileModule(source, { compilerOptions: { module: CommonJS, target: "ES2022" }, reportDiagnostics: true });
  assert.deepEqual(diagnostics, []);
  const module = { exports: {} };
  new Function("require", "module", "exports", ...Object.keys(globals), outputText)(require, module, module.exports, ...Object.values(globals));
  return module.exports;
}

test("the loader of Next.js leads each of its widths to the size of that width", () => {
  const { default: imageLoader } = run(snippets.loader);
  const { images } = run(snippets.config);
  const src = "gall/58/58 ü_original.jpg";
  const names = [...images.imageSizes, ...images.deviceSizes].map((width) => imageLoader({ src, width }).split("/").pop());
  assert.deepEqual(names, ["small", "medium", "large", "xlarge"]);
  assert.equal(imageLoader({ src, width: 9000 }), "https://images.example.org/img/gall/58/58%20%C3%BC_original.jpg/xlarge");
});

test("a ThumbHash becomes the background of a picture that is not loaded yet", () => {
  const images = [false, true].map((complete) => ({ complete, style: {}, dataset: { thumbhash: snippets.thumbhash } }));
  run(snippets.hashes, { document: { querySelectorAll: () => images } });
  assert.match(images[0].style.background, /^url\(data:image\/png;base64,[A-Za-z0-9+/=]+\) center\/100% 100% no-repeat$/);
  assert.deepEqual(images[1].style, {});
});

test("the components parse", () => {
  for (const source of snippets.components) {
    const { diagnostics } = ts.transpileModule(source, { compilerOptions: { jsx: ts.JsxEmit.Preserve }, fileName: "a.tsx", reportDiagnostics: true });
    assert.deepEqual(diagnostics, []);
  }
});
