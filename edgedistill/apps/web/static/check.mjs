/** `node tests/check.mjs`: asks the package's goldens of it, without a browser, and prints what came out as JSON. */

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { load } from "../edgedistill.js";
import { compareAll } from "./goldens.js";

const folder = join(dirname(fileURLToPath(import.meta.url)), "..");
const read = async (path) => {
  const bytes = await readFile(join(folder, path));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
};
const text = (path) => readFile(join(folder, path), "utf8");
process.stdout.write(JSON.stringify(await compareAll(await load(read), text)) + "\n");
