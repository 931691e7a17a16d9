// SPDX-License-Identifier: Apache-2.0
// Packs the built dashboard into the one file that src/api/dashboard_files.cc takes into the program:
// a line of JSON that lists the files, then their bytes, each as it is and compressed twice.
//
//   node tools/pack_dashboard.mjs FOLDER OUTPUT
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { extname, join, relative, sep } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".woff2": "font/woff2",
};

function filesOf(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesOf(path);
    return entry.name.endsWith(".map") ? [] : [path];
  });
}

const [folder, output] = process.argv.slice(2);
const blobs = [];
let size = 0;

function place(bytes) {
  blobs.push(bytes);
  size += bytes.length;
  return [size - bytes.length, bytes.length];
}

const list = filesOf(folder).sort().map((path) => {
  const type = TYPES[extname(path)];
  if (!type) throw new Error(`${path}: no media type is known for it; add it to this script`);
  const bytes = readFileSync(path);
  const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY };
  return {
    path: relative(folder, path).split(sep).join("/"),
    type,
    hash: createHash("sha256").update(bytes).digest("hex").slice(0, 20),
    plain: place(bytes),
    gzip: place(gzipSync(bytes, { level: 9 })),
    br: place(brotliCompressSync(bytes, { params: quality })),
  };
});
writeFileSync(output, Buffer.concat([Buffer.from(JSON.stringify(list) + "\n"), ...blobs]));
