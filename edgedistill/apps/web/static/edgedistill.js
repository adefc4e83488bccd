/**
 * The packaged model in a browser, or in Node: text in, answer out, nothing sent anywhere.
 *
 *     import { load } from "./edgedistill.js";
 *     const model = await load();
 *     const { label, scores, milliseconds } = await model.classify("A quiet, beautifully acted film.");
 */

import { Graphs } from "./graphs.js";
import { Tokenizer } from "./kit/tokenizer.js";
import { bestSpan, meanDirection, softmax } from "./maths.js";

const MODEL = "model/";
const RUNTIME = "runtime/ort-wasm-simd-threaded.wasm";
const PAIRS = ["pair", "ranking", "span"];
const CLASSES = ["single", "pair"];
const NUMBERS = ["regression", "ranking"];

/**
 * Reads the model, after its files were compared with the manifest's hashes.
 *
 * @param {(path: string) => Promise<ArrayBuffer>} read - gives a file of the package; by default from beside this one
 * @param {(note: string) => void} onProgress - told what is being read
 * @returns {Promise<Model>}
 * @throws {Error} when a file is missing or is not the one the manifest was written for
 */
export async function load(read = fetched, onProgress = () => {}) {
  const manifest = JSON.parse(new TextDecoder().decode(await read(`${MODEL}manifest.json`)));
  const [models, texts] = [new Map(), new Map()];
  for (const entry of manifest.files.filter(({ role }) => ["model", "tokenizer"].includes(role))) {
    onProgress(`Reading ${entry.path}`);
    const content = await read(MODEL + entry.path);
    if (content.byteLength !== entry.size_bytes || (await sha256(content)) !== entry.sha256) {
      throw new Error(`${entry.path} is not the file that was tested: its hash differs. Copy the package again.`);
    }
    if (entry.role === "model") models.set(entry.path, content);
    else texts.set(entry.path, new TextDecoder().decode(content));
  }
  const tokenizer = new Tokenizer(...["tokenizer.spec", "vocab.txt", "unicode.txt"].map((name) => texts.get(name)));
  onProgress("Starting the runtime");
  return new Model(manifest, tokenizer, await Graphs.open(manifest, tokenizer.padId, models, await read(RUNTIME)));
}

export class Model {
  #graphs;

  constructor(manifest, tokenizer, graphs) {
    this.manifest = manifest;
    this.tokenizer = tokenizer;
    this.#graphs = graphs;
  }

  /**
   * What may be asked, the main one first: of a model of several tasks one for each, else one alone.
   *
   * @returns {{name: string, kind: string, output: string, labels: string[]}[]} the kind is "single", "pair",
   *   "regression", "ranking", "span" or "embedding"
   */
  get heads() {
    const { driver, labels, task } = this.manifest;
    return driver.heads ?? [{ name: task.name ?? task.kind, kind: task.kind, output: "logits", labels }];
  }

  /** How many segments a text may pass; 1 where it cannot leave early. */
  get segments() {
    return this.#graphs.segments;
  }

  /** Paths of the files of goldens, within the package. */
  get goldens() {
    return this.manifest.files.filter(({ role }) => role === "golden").map(({ path }) => MODEL + path);
  }

  /** Whether a task wants two texts; the main one if none is named. */
  takesPairs(name = null) {
    return PAIRS.includes(this.head(name).kind);
  }

  /**
   * Every output of the model for one text or pair.
   *
   * @returns {Promise<{encoding: object, outputs: Object<string, {data: Float32Array, dims: number[]}>,
   *   milliseconds: number}>} outputs per token are as long as the encoding; the time is the model's alone
   */
  async run(text, pair = null) {
    const encoding = this.tokenizer.encode(text, pair);
    return { encoding, ...(await this.runIds(encoding.ids, encoding.typeIds)) };
  }

  /** The same for token numbers. */
  runIds(ids, typeIds) {
    return this.#graphs.run(ids, typeIds);
  }

  /**
   * The class of a text or of a pair.
   *
   * @param {?string} name - the task, for a model of several; the main one if not given
   * @returns {Promise<{label: string, scores: {label: string, probability: number}[], segments: number,
   *   milliseconds: number}>} the likeliest first; after how many segments it was certain enough
   */
  async classify(text, pair = null, name = null) {
    const { output, labels } = this.head(name, CLASSES);
    const { outputs, milliseconds } = await this.run(text, pair);
    const probabilities = softmax(Array.from(outputs[output].data));
    const scores = probabilities.map((probability, place) => ({ label: labels[place] ?? `${place}`, probability }));
    scores.sort((one, other) => other.probability - one.probability);
    return { label: scores[0].label, scores, segments: outputs.layers?.data[0] ?? 1, milliseconds };
  }

  /**
   * The number a text or a pair is given: a rating, or how well a candidate answers a question.
   *
   * @param {?string} name - the task, for a model of several; the main one if not given
   * @returns {Promise<{value: number, milliseconds: number}>}
   */
  async score(text, pair = null, name = null) {
    const { output } = this.head(name, NUMBERS);
    const { outputs, milliseconds } = await this.run(text, pair);
    return { value: outputs[output].data[0], milliseconds };
  }

  /**
   * The part of `context` that answers `question`.
   *
   * @returns {Promise<{answer: string, start: number, end: number, score: number, milliseconds: number}>} the place
   *   in UTF-16 units, as `slice` takes them; the score is the model's own, not a probability
   */
  async answer(question, context) {
    this.head(null, ["span"]);
    const { encoding, outputs, milliseconds } = await this.run(question, context);
    const [starts, ends] = [outputs.start_logits.data, outputs.end_logits.data];
    const best = bestSpan(starts, ends, (place) => encoding.sources[place] === 1);
    if (best === null) return { answer: "", start: 0, end: 0, score: -Infinity, milliseconds };
    const start = encoding.starts[best.first];
    const end = Math.max(start, encoding.ends[best.last]);
    return { answer: context.slice(start, end), start, end, score: best.score, milliseconds };
  }

  /**
   * The mean of the last hidden states, as long as 1: texts that mean alike have a high `similarity` (maths.js).
   *
   * @returns {Promise<{vector: Float32Array, milliseconds: number}>}
   */
  async embed(text) {
    this.head(null, ["embedding"]);
    const { outputs, milliseconds } = await this.run(text);
    const { data, dims } = outputs.last_hidden_state;
    return { vector: meanDirection(data, dims.at(-1)), milliseconds };
  }

  /**
   * The head of that name, the main one for null.
   *
   * @param {string[]} kinds - what it may be of
   * @throws {Error} when there is none, or it answers something else
   */
  head(name = null, kinds = null) {
    const found = name === null ? this.heads[0] : this.heads.find((each) => each.name === name);
    if (found === undefined) {
      throw new Error(`the model has no task '${name}'; it has ${this.heads.map((each) => each.name).join(", ")}`);
    }
    if (kinds !== null && !kinds.includes(found.kind)) {
      throw new Error(`the answer of '${found.name}' is of the kind '${found.kind}', not ${kinds.join(" or ")}`);
    }
    return found;
  }
}

async function fetched(path) {
  const response = await fetch(new URL(path, import.meta.url));
  if (!response.ok) throw new Error(`${path} cannot be read: ${response.status}`);
  return response.arrayBuffer();
}

async function sha256(content) {
  if (!globalThis.crypto?.subtle) throw new Error("hashes need a secure context: serve the page by https or localhost");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
