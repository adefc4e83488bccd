// classify FOLDER: answers texts from standard input, one JSON object a line, with one JSON object a line.
//
//   {"text": "A fine film."}   or   {"text": "...", "text_pair": "..."}
//
// FOLDER is the package: request.json, and in model/ what it names, the tokenizer's files and the labels. With --all behind it the
// token numbers and every output are told too, which the package's own goldens are compared by.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "error.hpp"
#include "json.hpp"
#include "model.hpp"
#include "request.hpp"
#include "session.hpp"
#include "tokenizer.hpp"

namespace {

std::vector<std::string> lines_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

template <typename T>
Tensor tensor(const std::string& name, const std::string& dtype, const std::vector<int>& values) {
  Tensor result{name, dtype, {1, static_cast<int64_t>(values.size())}, {}};
  const std::vector<T> typed(values.begin(), values.end());
  result.bytes.resize(typed.size() * sizeof(T));
  std::memcpy(result.bytes.data(), typed.data(), result.bytes.size());
  return result;
}

// Every array the graphs may ask for, in the type they ask for; the model pads them with zeros, so the model's padding
// id must be 0, which the package was refused for otherwise.
InputSet inputs_of(const edgedistill::Encoding& encoding, const Request& request) {
  const std::vector<int> mask(encoding.ids.size(), 1);
  InputSet found;
  for (const auto& graph : request.graphs) {
    for (const auto& port : graph.inputs) {
      const auto is_same = [&](const Tensor& each) { return each.name == port.name; };
      const std::vector<int>* values = port.name == "input_ids"        ? &encoding.ids
                                       : port.name == "attention_mask" ? &mask
                                       : port.name == "token_type_ids" ? &encoding.type_ids
                                                                       : nullptr;
      if (values == nullptr || std::any_of(found.begin(), found.end(), is_same)) continue;
      found.push_back(port.dtype == "int64" ? tensor<int64_t>(port.name, port.dtype, *values)
                                            : tensor<int32_t>(port.name, port.dtype, *values));
    }
  }
  return found;
}

std::vector<float> floats(const Tensor& tensor) {
  if (tensor.dtype != "float32") throw Error("the output '" + tensor.name + "' is not float32.");
  std::vector<float> values(tensor.bytes.size() / sizeof(float));
  std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

void write_scores(const std::vector<float>& logits, const std::vector<std::string>& labels, Writer& writer) {
  if (logits.size() != labels.size()) {
    writer.key("value").value(static_cast<double>(logits.empty() ? 0.0F : logits[0]));
    return;
  }
  const float most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - most));
  writer.key("label").value(labels[static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin())]);
  writer.key("scores").open('{');
  for (size_t place = 0; place < labels.size(); ++place) {
    writer.key(labels[place]).value(std::exp(static_cast<double>(logits[place] - most)) / sum);
  }
  writer.close('}');
}

void write_all(const edgedistill::Encoding& encoding, const Answer& answer, Writer& writer) {
  writer.key("ids").open('[');
  for (const int id : encoding.ids) writer.value(id);
  writer.close(']').key("type_ids").open('[');
  for (const int type : encoding.type_ids) writer.value(type);
  writer.close(']').key("outputs").open('{');
  for (const auto& output : answer.outputs) {
    writer.key(output.name).open('[');
    for (const float value : floats(output)) writer.value(static_cast<double>(value));
    writer.close(']');
  }
  writer.close('}');
}

std::string answered(const std::string& line, const edgedistill::Tokenizer& tokenizer, const Model& model,
                     const Request& request, const std::vector<std::string>& labels, bool tells_all) {
  const Json asked = Json::parse(line);
  const bool is_pair = !asked.get("text_pair").is_null();
  const std::string pair = is_pair ? asked.get("text_pair").text() : "";
  const auto encoding = tokenizer.encode(asked.at("text").text(), is_pair ? &pair : nullptr, tokenizer.max_length());
  const Answer answer = model.answer(inputs_of(encoding, request));
  Writer writer;
  writer.open('{');
  for (const auto& output : answer.outputs) {
    if (output.name == "logits") write_scores(floats(output), labels, writer);
  }
  if (tells_all) write_all(encoding, answer, writer);
  return writer.close('}').text();
}

int tell(const std::string& error) {
  std::cerr << "error: " << error << '\n';
  return 2;
}

}  // namespace

int main(int count, char** words) {
  const bool tells_all = count == 3 && std::string(words[2]) == "--all";
  if (count != 2 && !tells_all) return tell("usage: classify FOLDER [--all] < texts.jsonl");
  const std::string folder = std::string(words[1]) + "/";
  try {
    Request request;
    read_request(folder + "request.json", request);
    const auto runtime = request.runtime == "onnx" ? load_onnx(request.library, static_cast<int>(request.threads))
                                                   : load_litert(request.library, static_cast<int>(request.threads));
    const Model model(request, *runtime);
    std::ifstream specification(folder + "model/tokenizer.spec"), vocabulary(folder + "model/vocab.txt"),
        characters(folder + "model/unicode.txt");
    const edgedistill::Tokenizer tokenizer(specification, vocabulary, characters);
    const auto labels = lines_of(folder + "model/labels.txt");
    for (std::string line; std::getline(std::cin, line);) {
      if (line.empty()) continue;
      std::cout << answered(line, tokenizer, model, request, labels, tells_all) << std::endl;
    }
  } catch (const std::exception& error) {
    return tell(error.what());
  }
  return 0;
}
