/** The package's own goldens: what the artifact answered where it was made, asked of it here. */

import { compareGoldens } from "../kit/goldens.js";

/**
 * Asks the tokenizer and the model every golden of the package.
 *
 * @param {import("../edgedistill.js").Model} model
 * @param {(path: string) => Promise<string>} text - reads a file of the package
 * @param {(what: string) => void} note - told what is asked
 * @returns {Promise<{tokenizer: object, answers: object[]}>} what `compareGoldens` and, for each file, `compareAnswers`
 *   found
 */
export async function compareAll(model, text, note = () => {}) {
  note("Asking the tokenizer");
  const tokenizer = compareGoldens(model.tokenizer, await text("tests/tokenizer-goldens.tsv"));
  const answers = [];
  for (const path of model.goldens) {
    note(`Asking the model ${path}`);
    answers.push({ file: path, ...(await compareAnswers(model, await text(path))) });
  }
  return { tokenizer, answers };
}

/**
 * Asks the model every golden of a file, from its text on.
 *
 * @param {import("../edgedistill.js").Model} model
 * @param {string} goldens - the content of the file
 * @returns {Promise<{asked: number, differ: number[], worst: number, sameClass: number, why: string}>} lines that
 *   differ, from 1; the largest difference to the artifact's answers; on how many the largest output is the one
 *   that PyTorch has
 */
export async function compareAnswers(model, goldens) {
  const lines = goldens.split("\n").filter((line) => line !== "");
  const result = { asked: lines.length, differ: [], worst: 0, sameClass: 0, why: "" };
  for (const [place, line] of lines.entries()) {
    const golden = JSON.parse(line);
    const { encoding, outputs } = await model.run(golden.text, golden.text_pair);
    const wrong = [];
    if (encoding.ids.join() !== golden.input_ids.join()) wrong.push("other token numbers");
    if (encoding.typeIds.join() !== golden.token_type_ids.join()) wrong.push("other token types");
    let isSameClass = true;
    // Answers of every exit are stored for the gate; a page asks only for the one it takes.
    const compared = Object.entries(golden.artifact ?? golden.student).filter(([name]) => name in outputs);
    if (compared.length === 0) wrong.push("none of the stored answers is one of the model's");
    for (const [name, wanted] of compared) {
      const found = Array.from(outputs[name].data);
      const apart = found.length === wanted.length ? largestDifference(found, wanted) : Infinity;
      result.worst = Math.max(result.worst, apart);
      if (!(apart <= golden.tolerance[name])) wrong.push(`${name} ${apart} apart, ${golden.tolerance[name]} allowed`);
      isSameClass &&= largest(found) === largest(golden.student[name]);
    }
    result.sameClass += isSameClass ? 1 : 0;
    if (wrong.length > 0) {
      result.differ.push(place + 1);
      result.why ||= `line ${place + 1}: ${wrong.join(", ")}`;
    }
  }
  return result;
}

function largestDifference(found, wanted) {
  return found.reduce((most, value, place) => Math.max(most, Math.abs(value - wanted[place])), 0);
}

function largest(values) {
  return values.indexOf(Math.max(...values));
}
