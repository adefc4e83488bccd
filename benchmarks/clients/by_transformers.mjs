// @huggingface/transformers on an artifact folder, in Node: FOLDER -> JSON lines on stdout.
import fs from 'node:fs'
import path from 'node:path'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const home = createRequire(path.join(process.env.CLIENT_HOME, 'package.json'))
const { AutoTokenizer, AutoModelForSequenceClassification, env } = await import(
  pathToFileURL(home.resolve('@huggingface/transformers')).href
)
const folder = path.resolve(process.argv[2])
env.allowRemoteModels = false
env.localModelPath = path.dirname(folder)
const name = path.basename(folder)
const tokenizer = await AutoTokenizer.from_pretrained(name)
const model = await AutoModelForSequenceClassification.from_pretrained(name, {
  subfolder: '', model_file_name: 'model', dtype: 'fp32',
})
for (const line of fs.readFileSync(path.join(folder, 'golden.jsonl'), 'utf8').split('\n').slice(0, -1)) {
  const tokens = await tokenizer(JSON.parse(line).text, { truncation: true })
  const ids = Array.from(tokens.input_ids.data, Number)
  const { logits } = await model(tokens)
  console.log(JSON.stringify({ ids, logits: Array.from(logits.data), labels: Object.values(model.config.id2label) }))
}
