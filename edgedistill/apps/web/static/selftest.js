/**
 * Runs the package's goldens in this browser and shows what came out.
 *
 * With `?report=PATH` in the address the result is also posted there, on the same server; with `&bench=JSON` the
 * inferences of `bench.json` are timed as well. A page that is opened by hand posts nothing.
 */

import { load } from "../edgedistill.js";
import { timed } from "./bench.js";
import { compareAll } from "./goldens.js";

const asked = new URLSearchParams(location.search);
const at = (id) => document.getElementById(id);
const text = async (path) => (await fetch(path)).text();

run().catch((error) => report({ error: `${error.name}: ${error.message}` }));

async function run() {
  if (asked.get("bench") !== null) return report(await timed(await (await fetch(asked.get("bench"))).json(), note));
  const model = await load(undefined, note);
  const found = await compareAll(model, (path) => text(`../${path}`), note);
  show("Text becomes the same token numbers", found.tokenizer);
  for (const each of found.answers) show(`The model gives the same answers (${each.file})`, each);
  return report(found);
}

async function report(result) {
  note(result.error ?? "Done.");
  if (asked.get("report") === null) return;
  const body = JSON.stringify({ ...result, agent: navigator.userAgent });
  await fetch(asked.get("report"), { method: "POST", headers: { "Content-Type": "application/json" }, body });
}

function show(question, { asked: count, differ }) {
  const row = document.createElement("tr");
  const result = differ.length === 0 && count > 0 ? "passed" : `failed, first at line ${differ[0]}`;
  for (const words of [question, count, differ.length, result]) {
    row.append(Object.assign(document.createElement("td"), { textContent: String(words) }));
  }
  at("rows").append(row);
}

function note(words) {
  at("status").textContent = words;
}
