/**
 * The page: one form, one answer. Whatever comes from files or people is shown as text, never as markup.
 * A link that ends in `#text=...` (and `&pair=...`) asks that at once; what follows a # is sent to no server.
 */

import { load } from "./edgedistill.js";
import { similarity } from "./maths.js";

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
  keepForLater().catch(() => {}); // no service worker, no offline page: the rest works
  const begun = performance.now();
  const model = await load(undefined, (note) => tell(`${note}…`));
  await model.run("a", model.takesPairs() ? "a" : null); // the first inference prepares much that later ones find
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  at("head").replaceChildren(...model.heads.map(({ name }) => Object.assign(new Option(), { text: name, value: name })));
  at("head-field").hidden = model.heads.length === 1;
  at("head").addEventListener("change", () => showFields(model));
  showFields(model);
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

async function keepForLater() {
  await navigator.serviceWorker.register("sw.js");
  await navigator.serviceWorker.ready;
  at("offline").hidden = false;
}

function showFields(model) {
  const [first, second] = FIELDS[model.head(at("head").value).kind];
  at("text-label").textContent = first;
  at("pair-field").hidden = second === undefined;
  at("pair-label").textContent = second ?? "";
}

async function ask(model) {
  const [text, pair] = [at("text").value, at("pair").value];
  at("result").setAttribute("aria-busy", "true");
  const { words, scores = [], passage = [], milliseconds, segments = 1 } = await answered(model, text, pair);
  at("status").hidden = true;
  at("answer").textContent = words;
  at("passage").replaceChildren(...passage);
  at("scores").replaceChildren(...scores.slice(0, MOST_SCORES).map(bar));
  const early = model.segments > 1 ? `, answered after ${segments} of ${model.segments} parts of the model` : "";
  at("latency").textContent = `${milliseconds.toFixed(1)} ms in this browser${early}`;
  at("answer").hidden = at("latency").hidden = false;
  at("passage").hidden = passage.length === 0;
  at("scores").hidden = scores.length === 0;
  at("result").setAttribute("aria-busy", "false");
}

/** What the page shows: words, and where there are some, scores or the passage that the words are out of. */
async function answered(model, text, pair) {
  const { kind, name } = model.head(at("head").value);
  if (kind === "span") {
    const { answer, start, end, milliseconds } = await model.answer(text, pair);
    if (answer === "") return { words: "No answer found", milliseconds };
    const mark = Object.assign(document.createElement("mark"), { textContent: answer });
    return { words: answer, passage: [pair.slice(0, start), mark, pair.slice(end)], milliseconds };
  }
  if (kind === "embedding") {
    const [one, other] = [await model.embed(text), await model.embed(pair)];
    const words = `Similarity ${similarity(one.vector, other.vector).toFixed(3)}`;
    return { words, milliseconds: one.milliseconds + other.milliseconds };
  }
  const second = model.takesPairs(name) || (kind === "regression" && pair !== "") ? pair : null;
  if (kind === "regression" || kind === "ranking") {
    const { value, milliseconds } = await model.score(text, second, name);
    return { words: value.toFixed(3), milliseconds };
  }
  const { label, ...rest } = await model.classify(text, second, name);
  return { words: label, ...rest };
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
  for (const id of ["answer", "passage", "scores", "latency"]) at(id).hidden = true;
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
