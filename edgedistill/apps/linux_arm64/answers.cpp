#include "answers.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.hpp"

namespace {

constexpr size_t kLongestAnswer = 30;  // tokens, as when the model was judged

std::vector<std::string> texts(const Json& json) {
  std::vector<std::string> found;
  for (const auto& one : json.list()) found.push_back(one.text());
  return found;
}

// Every number of an output; throws where one is none, which JSON could not say.
std::vector<float> numbers(const Asked& asked, const std::string& name) {
  for (const auto& output : asked.outputs) {
    if (output.name != name) continue;
    std::vector<float> values = floats(output);
    for (const float value : values) {
      if (!std::isfinite(value)) throw Error("the output '" + name + "' holds NaN or infinity.");
    }
    if (values.empty()) throw Error("the output '" + name + "' is empty.");
    return values;
  }
  throw Error("the model gives no output '" + name + "'.");
}

size_t largest(const float* values, size_t count) {
  return static_cast<size_t>(std::max_element(values, values + count) - values);
}

void write_scores(const std::vector<float>& logits, const std::vector<std::string>& labels, Writer& writer) {
  if (logits.size() != labels.size())
    throw Error("the model gives " + std::to_string(logits.size()) + " classes, the manifest names " +
                std::to_string(labels.size()) + ".");
  const size_t best = largest(logits.data(), logits.size());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - logits[best]);
  writer.key("label").value(labels[best]).key("scores").open('{');
  for (size_t place = 0; place < labels.size(); ++place) {
    writer.key(labels[place]).value(std::exp(static_cast<double>(logits[place]) - logits[best]) / sum);
  }
  writer.close('}');
}

// The part of the second text with the highest start and end score together.
void write_span(const Asked& asked, Writer& writer) {
  const std::vector<float> starts = numbers(asked, "start_logits"), ends = numbers(asked, "end_logits");
  const auto& sources = asked.encoding.sources;
  if (starts.size() != sources.size() || ends.size() != sources.size())
    throw Error("start_logits and end_logits do not have a number for every token.");
  if (asked.pair == nullptr) throw Error("the model finds answers in a second text: give it as \"text_pair\".");
  bool is_found = false;
  size_t first = 0, last = 0;
  double highest = 0;
  for (size_t start = 0; start < sources.size(); ++start) {
    for (size_t end = start; end < std::min(sources.size(), start + kLongestAnswer); ++end) {
      const double score = static_cast<double>(starts[start]) + ends[end];
      if (sources[start] != 1 || sources[end] != 1 || (is_found && score <= highest)) continue;
      is_found = true;
      first = start, last = end, highest = score;
    }
  }
  const size_t from = is_found ? asked.encoding.starts[first] : 0;
  const size_t to = is_found ? std::max(from, asked.encoding.ends[last]) : 0;
  writer.key("answer").value(asked.pair->substr(from, to - from));
  writer.key("start").value(static_cast<int64_t>(from)).key("end").value(static_cast<int64_t>(to));
  if (is_found) writer.key("score").value(highest);
}

void write_tags(const Head& head, const Asked& asked, Writer& writer) {
  const std::vector<float> logits = numbers(asked, head.output);
  const auto& encoding = asked.encoding;
  const size_t width = head.labels.size();
  if (logits.size() != width * encoding.ids.size())
    throw Error("'" + head.output + "' does not have a number for every token and label.");
  writer.key("tags").open('[');
  for (size_t place = 0; place < encoding.ids.size(); ++place) {
    if (encoding.sources[place] < 0) continue;
    writer.open('{').key("tag").value(head.labels[largest(&logits[place * width], width)]);
    writer.key("start").value(static_cast<int64_t>(encoding.starts[place]));
    writer.key("end").value(static_cast<int64_t>(encoding.ends[place])).close('}');
  }
  writer.close(']');
}

// The mean of the tokens' vectors, as long as 1: the scalar product of two texts' says how alike they are.
void write_direction(const Asked& asked, Writer& writer) {
  const std::vector<float> states = numbers(asked, "last_hidden_state");
  const size_t rows = asked.encoding.ids.size();
  if (states.size() % rows != 0) throw Error("'last_hidden_state' does not have a vector for every token.");
  std::vector<double> mean(states.size() / rows);
  for (size_t place = 0; place < states.size(); ++place) mean[place % mean.size()] += states[place];
  double length = 0;
  for (const double value : mean) length += value * value;
  length = std::max(std::sqrt(length), 1e-12);
  writer.key("embedding").open('[');
  for (const double value : mean) writer.value(value / length);
  writer.close(']');
}

}  // namespace

bool Head::takes(bool is_pair) const {
  if (kind == "regression") return true;
  return is_pair == (kind == "pair" || kind == "ranking" || kind == "span");
}

std::vector<Head> heads_of(const Json& manifest) {
  const Json& driver = manifest.at("driver");
  std::vector<Head> found;
  if (driver.at("kind").text() == "heads") {
    for (const auto& one : driver.at("heads").list()) {
      found.push_back({one.at("name").text(), one.at("kind").text(), one.at("output").text(), texts(one.at("labels"))});
    }
  } else {
    const Json& task = manifest.at("task");
    const std::string kind = task.at("kind").text();
    const std::string name = task.get("name").is_null() ? kind : task.get("name").text();
    found.push_back({name, kind, "logits", texts(manifest.at("labels"))});
  }
  if (found.empty()) throw Error("the manifest's driver names no head.");
  return found;
}

void write_answer(const Head& head, const Asked& asked, Writer& writer) {
  if (head.kind == "span") return write_span(asked, writer);
  if (head.kind == "tokens") return write_tags(head, asked, writer);
  if (head.kind == "embedding") return write_direction(asked, writer);
  const std::vector<float> logits = numbers(asked, head.output);
  if (head.kind == "single" || head.kind == "pair") return write_scores(logits, head.labels, writer);
  writer.key("value").value(static_cast<double>(logits[0]));
}

std::vector<float> floats(const Tensor& tensor) {
  if (tensor.dtype != "float32") throw Error("the output '" + tensor.name + "' is not float32.");
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}
