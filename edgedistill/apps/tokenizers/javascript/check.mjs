/** `node check.mjs FOLDER`: prints how many goldens of the folder were asked, then the lines that differ. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { compareGoldens } from "./goldens.js";
import { Tokenizer } from "./tokenizer.js";

const read = (name) => readFileSync(join(process.argv[2], name), "utf8");
const tokenizer = new Tokenizer(read("tokenizer.spec"), read("vocab.txt"), read("unicode.txt"));
const { asked, differ } = compareGoldens(tokenizer, read("tokenizer-goldens.tsv"));
process.stdout.write([asked, ...differ].join("\n") + "\n");
