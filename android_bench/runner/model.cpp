#include "model.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "error.hpp"

namespace {

const GraphSpec& find(const Request& request, const std::string& name) {
  for (const auto& graph : request.graphs)
    if (graph.name == name) return graph;
  throw Error("the driver names a graph '" + name + "' that is not in 'graphs'.");
}

const Tensor* find(const InputSet& given, const std::string& name) {
  for (const auto& tensor : given)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

// Tokens of a text: the second size of its ids.
int64_t tokens(const InputSet& inputs) {
  for (const auto& tensor : inputs)
    if (tensor.shape.size() >= 2) return tensor.shape[1];
  throw Error("an input set has no array of the shape (1, tokens).");
}

// The array with `length` columns: its first ones, as many as fit, then zeros. Rows are kept.
Tensor resized(const Tensor& from, int64_t length) {
  if (from.shape.size() < 2 || from.shape[1] == length) return from;
  Tensor to{from.name, from.dtype, from.shape, {}};
  to.shape[1] = length;
  to.bytes.assign(bytes_of(to.dtype, to.shape), 0);
  const size_t rows = static_cast<size_t>(from.shape[0]);
  if (rows == 0 || from.bytes.empty()) return to;
  const size_t wide = from.bytes.size() / rows, width = to.bytes.size() / rows;
  for (size_t row = 0; row < rows; ++row)
    std::memcpy(&to.bytes[row * width], &from.bytes[row * wide], std::min(wide, width));
  return to;
}

// Whether the second axis is the sequence; the rule of edgedistill/runner.py.
bool is_per_token(const Tensor& output) {
  return output.shape.size() == 3 || output.name == "start_logits" || output.name == "end_logits";
}

std::vector<float> floats(const Tensor& tensor) {
  if (tensor.dtype != "float32") throw Error("'" + tensor.name + "' must be float32 to leave early by it.");
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

// Entropy as a share of the most there can be (Liu et al., 2020, equation 8): 0 is certain, 1 is none at all.
double uncertainty(const std::vector<float>& logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double total = 0, weighted = 0;
  for (const double logit : logits) {
    const double power = std::exp(logit - top);
    total += power;
    weighted += power * (logit - top);
  }
  const double entropy = std::log(total) - weighted / total;
  return std::clamp(entropy / std::log(static_cast<double>(logits.size())), 0.0, 1.0);
}

}  // namespace

Model::Model(const Request& request, Runtime& runtime) : driver_(request.driver) {
  std::vector<std::vector<std::string>> chains;
  if (driver_.kind == "cascade") {
    for (size_t place = 0; place < driver_.exits[0].graphs.size(); ++place) {
      chains.emplace_back();
      for (const auto& exit : driver_.exits) {
        if (exit.graphs.size() != driver_.exits[0].graphs.size()) throw Error("the exits differ in their lengths.");
        chains.back().push_back(exit.graphs[place]);
      }
    }
  } else {
    for (const auto& name : driver_.graphs) chains.push_back({name});
  }
  for (const auto& names : chains) {
    Chain chain{find(request, names[0]).length, {}};
    for (const auto& name : names) {
      const GraphSpec& spec = find(request, name);
      chain.segments.push_back({&spec, runtime.open(spec, request.folder + spec.file)});
    }
    chains_.push_back(std::move(chain));
  }
  if (chains_.empty()) throw Error("the driver names no graph.");
  std::sort(chains_.begin(), chains_.end(), [](const Chain& a, const Chain& b) { return a.length < b.length; });
}

const Model::Chain& Model::choose(int64_t size) const {
  for (const auto& chain : chains_)
    if (chain.length == 0 || chain.length >= size) return chain;
  throw Error("a text has " + std::to_string(size) + " tokens; the model takes " +
              std::to_string(chains_.back().length) + ".");
}

std::vector<Tensor> Model::run(const Opened& graph, const InputSet& given) const {
  std::vector<const Tensor*> feeds;
  for (const auto& port : graph.session->inputs()) {
    const Tensor* feed = find(given, port.name);
    if (feed == nullptr) throw Error("graph '" + graph.spec->name + "' takes '" + port.name + "', which is not given.");
    if (feed->dtype != port.dtype)
      throw Error("graph '" + graph.spec->name + "' takes '" + port.name + "' as " + port.dtype + ", not " +
                  feed->dtype + ".");
    feeds.push_back(feed);
  }
  return graph.session->run(feeds);
}

Answer Model::answer(const InputSet& inputs) const {
  const int64_t size = tokens(inputs);
  const Chain& chain = choose(size);
  const int64_t length = chain.length > 0 ? chain.length : std::max(size, chain.segments[0].spec->shortest);
  InputSet given;
  for (const auto& tensor : inputs) given.push_back(resized(tensor, length));
  Answer found;
  if (driver_.kind == "cascade")
    found = cascade(chain, std::move(given));
  else
    found.outputs = run(chain.segments[0], given);
  for (auto& output : found.outputs)
    if (is_per_token(output)) output = resized(output, size);
  return found;
}

Answer Model::cascade(const Chain& chain, InputSet given) const {
  Answer found;
  std::vector<Tensor> exits;
  Tensor logits;
  for (size_t number = 0; number < chain.segments.size(); ++number) {
    const std::vector<Tensor> answers = run(chain.segments[number], given);
    const Tensor* answer = find(answers, driver_.exits[number].output);
    if (answer == nullptr) throw Error("segment " + std::to_string(number + 1) + " gives no logits.");
    const bool is_last = number + 1 == chain.segments.size();
    const bool leaves = is_last || uncertainty(floats(*answer)) < driver_.exits[number].threshold;
    if (leaves && found.layers == 0) {
      found.layers = static_cast<int>(number) + 1;
      logits = *answer;
    }
    exits.push_back(*answer);
    exits.back().name = "exit_" + std::to_string(number + 1);
    if (is_last || (leaves && !driver_.asks_all)) break;
    const Tensor* carried = find(answers, driver_.carry_output);
    const Tensor* mask = find(given, "attention_mask");
    if (carried == nullptr || mask == nullptr) throw Error("a segment gives nothing to carry on.");
    Tensor onward = *carried;
    onward.name = driver_.carry_input;
    given = {*mask, std::move(onward)};
  }
  const float passed = static_cast<float>(found.layers);
  Tensor layers{"layers", "float32", {1, 1}, std::vector<uint8_t>(sizeof passed)};
  std::memcpy(layers.bytes.data(), &passed, sizeof passed);
  logits.name = "logits";
  found.outputs = {std::move(logits), std::move(layers)};
  if (driver_.asks_all) found.outputs.insert(found.outputs.end(), exits.begin(), exits.end());
  return found;
}
