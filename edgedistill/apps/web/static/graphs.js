/** A model's graphs run as one: the length that fits, and early exits. */

import { uncertainty } from "./maths.js";
import * as ort from "./runtime/ort.wasm.bundle.min.mjs";

export class Graphs {
  #manifest;
  #padId;
  #sessions = new Map();

  /**
   * Opens every graph that the manifest's driver names.
   *
   * @param {object} manifest
   * @param {number} padId - what shorter texts are filled up with
   * @param {Map<string, ArrayBuffer>} bytes - of the model's files, by path
   * @param {ArrayBuffer} wasmBinary - the runtime
   * @returns {Promise<Graphs>}
   */
  static async open(manifest, padId, bytes, wasmBinary) {
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = wasmBinary;
    const graphs = new Graphs(manifest, padId);
    const names = segmentsOf(manifest.driver).flat();
    const used = manifest.graphs.filter((graph) => names.includes(graph.name));
    const weights = [...bytes].filter(([path]) => !manifest.graphs.some((graph) => graph.file === path));
    const externalData = weights.map(([path, content]) => ({ path, data: new Uint8Array(content) }));
    for (const graph of used) {
      const session = await ort.InferenceSession.create(new Uint8Array(bytes.get(graph.file)), { externalData });
      graphs.#sessions.set(graph.name, { graph, session });
    }
    return graphs;
  }

  constructor(manifest, padId) {
    this.#manifest = manifest;
    this.#padId = padId;
  }

  /** How many segments a text may pass; 1 where it cannot leave early. */
  get segments() {
    return segmentsOf(this.#manifest.driver).length;
  }

  /**
   * Runs one text, given as token numbers.
   *
   * @returns {Promise<{outputs: Object<string, {data: Float32Array, dims: number[]}>, milliseconds: number}>} every
   *   output, those with a value per token cut to the text's own; of a model with early exits the `logits` of the one
   *   that answered and `layers`, the segments that were run; the time is the model's alone
   * @throws {RangeError} when no graph is long enough
   */
  async run(ids, typeIds) {
    const segments = this.#segmentsFor(ids.length);
    const [{ graph }] = segments;
    const length = graph.length ?? Math.max(ids.length, graph.shortest ?? 1);
    const given = new Map([
      ["input_ids", padded(ids, length, this.#padId)],
      ["attention_mask", padded(ids.map(() => 1), length, 0)],
      ["token_type_ids", padded(typeIds, length, 0)],
    ]);
    const { driver } = this.#manifest;
    const start = performance.now();
    const found = driver.kind === "cascade" ? await leaving(driver, segments, given) : await called(segments[0], given);
    const milliseconds = performance.now() - start;
    const outputs = Object.entries(found).map(([name, value]) => [name, cut(name, value, ids.length)]);
    return { outputs: Object.fromEntries(outputs), milliseconds };
  }

  /** The graphs of the shortest length that takes so many tokens, one for each exit. */
  #segmentsFor(tokens) {
    const segments = segmentsOf(this.#manifest.driver).map((names) => names.map((name) => this.#sessions.get(name)));
    const lengths = segments[0].map(({ graph }) => graph.length ?? this.#manifest.tokenizer.max_length);
    const longest = Math.max(...lengths);
    if (tokens > longest) throw new RangeError(`the text has ${tokens} tokens; the model takes ${longest}`);
    const shortest = Math.min(...lengths.filter((length) => length >= tokens));
    return segments.map((graphs) => graphs[lengths.indexOf(shortest)]);
  }
}

/** The names of the graphs that answer, by length; of a model with early exits those of every exit. */
function segmentsOf(driver) {
  if (driver.kind === "single") return [[driver.graph]];
  return driver.kind === "cascade" ? driver.exits.map((exit) => exit.graphs) : [driver.graphs];
}

/** Segments one after another, until an answer is certain enough. The last one always answers. */
async function leaving({ exits, carry }, segments, given) {
  for (const [place, segment] of segments.entries()) {
    const found = await called(segment, given);
    const logits = found[exits[place].output];
    if (place === segments.length - 1 || uncertainty(logits.data) < exits[place].threshold) {
      return { logits, layers: { data: Float32Array.of(place + 1), dims: [1, 1] } };
    }
    given.set(carry.input, found[carry.output]);
  }
}

async function called({ graph, session }, given) {
  const feeds = graph.inputs.map(({ name, dtype }) => {
    const value = given.get(name);
    return [name, Array.isArray(value) ? tensor(value, dtype) : value];
  });
  return session.run(Object.fromEntries(feeds));
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
