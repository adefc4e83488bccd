/**
 * The packaged model in a browser, or in Node: text in, answer out, nothing sent anywhere.
 *
 *     import { load } from "./edgedistill.js";
 *     const model = await load();
 *     const { label, scores, milliseconds } = await model.classify("A quiet, beautifully acted film.");
 */

import { Tokenizer } from "./kit/tokenizer.js";
import * as ort from "./runtime/ort.wasm.bundle.min.mjs";

const MODEL = "model/";
const RUNTIME = "runtime/ort-wasm-simd-threaded.wasm";
const LONGEST_ANSWER = 30; // tokens, as the model was judged with

/**
 * Reads the model, after its files were compared with the manifest's hashes.
 *
 * @param {(path: string) => Promise<ArrayBuffer>} read - gives a file of the package; by default from beside this one
 * @param {(note: string) => void} onProgress - told what is being read
 * @returns {Promise<Model>}
 * @throws {Error} when a file is missing or is not the one the manifest was written for
 */
export async function load(read = fetched, onProgress = () => {}) {
  const text = async (path) => new TextDecoder().decode(await read(path));
  const manifest = JSON.parse(await text(`${MODEL}manifest.json`));
  const bytes = new Map();
  for (const entry of manifest.files.filter((each) => ["model", "labels"].includes(each.role) || isVocabulary(each))) {
    onProgress(`Reading ${entry.path}`);
    const content = await read(MODEL + entry.path);
    if (content.byteLength !== entry.size_bytes || (await sha256(content)) !== entry.sha256) {
      throw new Error(`${entry.path} is not the file that was tested: its hash differs. Copy the package again.`);
    }
    bytes.set(entry.path, content);
  }
  const [specification, unicode] = await Promise.all(["tokenizer.spec", "unicode.txt"].map((name) => text(MODEL + name)));
  const vocabulary = new TextDecoder().decode(bytes.get(manifest.tokenizer.file));
  const tokenizer = new Tokenizer(specification, vocabulary, unicode);
  onProgress("Starting the runtime");
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await read(RUNTIME);
  const sessions = new Map();
  for (const name of graphsOf(manifest.driver)) {
    const graph = manifest.graphs.find((each) => each.name === name);
    const others = [...bytes].filter(([path]) => isWeights(manifest, path));
    const externalData = others.map(([path, content]) => ({ path, data: new Uint8Array(content) }));
    const session = await ort.InferenceSession.create(new Uint8Array(bytes.get(graph.file)), { externalData });
    sessions.set(graph, session);
  }
  return new Model(manifest, tokenizer, sessions);

  function isVocabulary(entry) {
    return entry.path === manifest.tokenizer.file;
  }
}

export class Model {
  #sessions;

  constructor(manifest, tokenizer, sessions) {
    this.manifest = manifest;
    this.tokenizer = tokenizer;
    this.#sessions = sessions;
  }

  /** "single", "pair", "regression", "ranking", "span" or "embedding": what it answers. */
  get kind() {
    return this.manifest.task.kind;
  }

  /** Whether it takes two texts. */
  get takesPairs() {
    return ["pair", "ranking", "span"].includes(this.kind);
  }

  /**
   * Every output of the model for one text or pair.
   *
   * @returns {Promise<{encoding: object, outputs: Object<string, {data: Float32Array, dims: number[]}>,
   *   milliseconds: number}>} outputs per token are as long as the encoding; the time is the model's alone
   */
  async run(text, pair = null) {
    const encoding = this.tokenizer.encode(text, pair);
    const { outputs, milliseconds } = await this.runIds(encoding.ids, encoding.typeIds);
    return { encoding, outputs, milliseconds };
  }

  /** The same for token numbers. */
  async runIds(ids, typeIds) {
    const [graph, session] = this.#graphFor(ids.length);
    const length = graph.length ?? Math.max(ids.length, graph.shortest ?? 1);
    const values = {
      input_ids: padded(ids, length, this.tokenizer.padId),
      attention_mask: padded(ids.map(() => 1), length, 0),
      token_type_ids: padded(typeIds, length, 0),
    };
    const feeds = Object.fromEntries(graph.inputs.map(({ name, dtype }) => [name, tensor(values[name], dtype)]));
    const start = performance.now();
    const found = await session.run(feeds);
    const milliseconds = performance.now() - start;
    const outputs = Object.fromEntries(graph.outputs.map(({ name }) => [name, cut(name, found[name], ids.length)]));
    return { outputs, milliseconds };
  }

  /**
   * The class of a text, or the score of a regression or ranking (then without probabilities).
   *
   * @param {?string} head - the task, for a model of several; the main one if not given
   * @returns {Promise<{label: string, scores: {label: string, probability: number}[], value: ?number,
   *   milliseconds: number}>} the likeliest first
   */
  async classify(text, pair = null, head = null) {
    const { outputs, milliseconds } = await this.run(text, pair);
    const { output, labels } = this.#head(head);
    const logits = Array.from(outputs[output].data);
    if (logits.length === 1) return { label: logits[0].toFixed(3), scores: [], value: logits[0], milliseconds };
    const probabilities = softmax(logits);
    const scores = probabilities.map((probability, place) => ({ label: labels[place] ?? `${place}`, probability }));
    scores.sort((one, other) => other.probability - one.probability);
    return { label: scores[0].label, scores, value: null, milliseconds };
  }

  /**
   * The part of `context` that answers `question`.
   *
   * @returns {Promise<{answer: string, start: number, end: number, score: number, milliseconds: number}>} the place
   *   in UTF-16 units; the score is the model's own, not a probability
   */
  async answer(question, context) {
    const { encoding, outputs, milliseconds } = await this.run(question, context);
    const [starts, ends] = [outputs.start_logits.data, outputs.end_logits.data];
    let best = { score: -Infinity, first: 0, last: 0 };
    const places = encoding.sources.flatMap((source, place) => (source === 1 ? [place] : []));
    for (const first of places) {
      for (const last of places.filter((place) => place >= first && place < first + LONGEST_ANSWER)) {
        const score = starts[first] + ends[last];
        if (score > best.score) best = { score, first, last };
      }
    }
    const [start, end] = [encoding.starts[best.first], encoding.ends[best.last]];
    return { answer: places.length ? context.slice(start, end) : "", start, end, score: best.score, milliseconds };
  }

  /**
   * The mean of the last hidden states, as long as 1: texts that mean alike have a high dot product.
   *
   * @returns {Promise<{vector: Float32Array, milliseconds: number}>}
   */
  async embed(text) {
    const { outputs, milliseconds } = await this.run(text);
    const { data, dims } = outputs.last_hidden_state;
    const [tokens, width] = dims.slice(-2);
    const vector = new Float32Array(width);
    for (let place = 0; place < data.length; place++) vector[place % width] += data[place] / tokens;
    const norm = Math.hypot(...vector) || 1;
    return { vector: vector.map((value) => value / norm), milliseconds };
  }

  #graphFor(length) {
    const found = [...this.#sessions].find(([graph]) => graph.length == null || graph.length >= length);
    if (found === undefined) throw new RangeError(`the text has ${length} tokens, more than the model takes`);
    return found;
  }

  #head(name) {
    const { driver, labels } = this.manifest;
    if (driver.kind !== "heads") return { output: "logits", labels };
    return driver.heads.find((each) => each.name === name) ?? driver.heads[0];
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

function graphsOf(driver) {
  return driver.kind === "single" ? [driver.graph] : driver.graphs;
}

function isWeights(manifest, path) {
  const entry = manifest.files.find((each) => each.path === path);
  return entry.role === "model" && !manifest.graphs.some((graph) => graph.file === path);
}

function padded(values, length, filler) {
  return [...values, ...Array(length - values.length).fill(filler)];
}

function tensor(values, dtype) {
  const shape = [1, values.length];
  if (dtype === "int64") return new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
  return new ort.Tensor(dtype, Int32Array.from(values), shape);
}

/** An output without what belongs to the padding. */
function cut(name, { data, dims }, tokens) {
  const isPerToken = dims.length === 3 || name === "start_logits" || name === "end_logits";
  if (!isPerToken || dims[1] === tokens) return { data, dims };
  const width = data.length / dims[1];
  return { data: data.slice(0, tokens * width), dims: [dims[0], tokens, ...dims.slice(2)] };
}

function softmax(logits) {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((one, other) => one + other, 0);
  return powers.map((power) => power / sum);
}
