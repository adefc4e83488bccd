/**
 * The page: one form, one answer. Whatever comes from files or people is shown as text, never as markup.
 * A link that ends in `#text=...` (and `&pair=...`) asks that at once; what follows a # is sent to no server.
 */

import { load } from "./edgedistill.js";

const FIELDS = {
  single: ["Your text"],
  regression: ["Your text", "Second text (if there is one)"],
  pair: ["First text", "Second text"],
  ranking: ["Question", "Candidate answer"],
  span: ["Question", "Text to find the answer in"],
  embedding: ["First text", "Text to compare it with"],
};
const MOST_SCORES = 5;
const at = (id) => document.getElementById(id);

start().catch((error) => tell(error.message, true));

async function start() {
  const { title } = await (await fetch("page.json")).json();
  document.title = title;
  at("title").textContent = title;
  if ("serviceWorker" in navigator) navigator.serviceWorker.register("sw.js").catch(() => {});
  const begun = performance.now();
  const model = await load(undefined, (note) => tell(`${note}…`));
  await model.run("a", model.takesPairs ? "a" : null); // the first inference prepares much that later ones find
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  const [first, second] = FIELDS[model.kind];
  at("text-label").textContent = first;
  at("pair-field").hidden = second === undefined;
  at("pair-label").textContent = second ?? "";
  at("facts").textContent = facts(model.manifest);
  tell(`Ready after ${seconds} s. Type something.`);
  at("ask").disabled = false;
  at("result").setAttribute("aria-busy", "false");
  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask(model).catch((error) => tell(error.message, true));
  });
  for (const field of [at("text"), at("pair")]) field.addEventListener("keydown", submitOnEnter);
  at("text").focus();
  const asked = new URLSearchParams(location.hash.slice(1));
  if (!asked.has("text")) return;
  for (const name of ["text", "pair"]) at(name).value = asked.get(name) ?? "";
  at("form").requestSubmit();
}

async function ask(model) {
  const [text, pair] = [at("text").value, at("pair").value];
  at("result").setAttribute("aria-busy", "true");
  const answer = await answered(model, text, pair);
  at("status").hidden = true;
  at("answer").textContent = answer.words;
  at("scores").replaceChildren(...answer.scores.slice(0, MOST_SCORES).map(bar));
  at("latency").textContent = `${answer.milliseconds.toFixed(1)} ms in this browser`;
  at("answer").hidden = at("latency").hidden = false;
  at("scores").hidden = answer.scores.length === 0;
  at("result").setAttribute("aria-busy", "false");
}

async function answered(model, text, pair) {
  if (model.kind === "span") {
    const { answer, milliseconds } = await model.answer(text, pair);
    return { words: answer || "No answer found", scores: [], milliseconds };
  }
  if (model.kind === "embedding") {
    const [one, other] = [await model.embed(text), await model.embed(pair)];
    const similarity = one.vector.reduce((sum, value, place) => sum + value * other.vector[place], 0);
    const milliseconds = one.milliseconds + other.milliseconds;
    return { words: `Similarity ${similarity.toFixed(3)}`, scores: [], milliseconds };
  }
  const second = model.takesPairs || (model.kind === "regression" && pair !== "") ? pair : null;
  const { label, scores, milliseconds } = await model.classify(text, second);
  return { words: label, scores, milliseconds };
}

function bar({ label, probability }) {
  const item = document.createElement("li");
  const [name, value, meter] = ["span", "span", "progress"].map((tag) => document.createElement(tag));
  name.className = "name";
  name.textContent = label;
  value.className = "value";
  value.textContent = `${(100 * probability).toFixed(1)} %`;
  meter.max = 1;
  meter.value = probability;
  meter.setAttribute("aria-hidden", "true");
  item.append(name, value, meter);
  return item;
}

function facts({ target, scheme, files }) {
  const bytes = files.filter((file) => file.role === "model").reduce((sum, file) => sum + file.size_bytes, 0);
  return `${target} ${scheme}, ${(bytes / 1e6).toFixed(1)} MB of model. Nothing leaves this device.`;
}

function tell(words, isFault = false) {
  for (const id of ["answer", "scores", "latency"]) at(id).hidden = true;
  at("status").hidden = false;
  at("status").textContent = words;
  at("status").className = isFault ? "fault" : "";
  if (isFault) at("result").setAttribute("aria-busy", "false");
}

function submitOnEnter(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("form").requestSubmit();
}
