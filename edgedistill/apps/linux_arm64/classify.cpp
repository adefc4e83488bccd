// classify FOLDER: answers texts from standard input, one JSON object a line, with one JSON object a line.
//
//   {"text": "A fine film."}   or   {"text": "...", "text_pair": "..."}   or   {"text": "...", "task": "sst2"}
//
// FOLDER is the package: request.json, and in model/ the manifest, what it names and the tokenizer's files. A model of
// several tasks answers under "tasks" those that such a text is for, or the one that is asked for. With --all behind it
// the token numbers and every output are told too, which the package's own goldens are compared by.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "answers.hpp"
#include "error.hpp"
#include "json.hpp"
#include "model.hpp"
#include "request.hpp"
#include "session.hpp"
#include "tokenizer.hpp"

namespace {

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

// The heads that a line asks for: all that such a text is for, or the one it names.
std::vector<const Head*> asked_for(const std::vector<Head>& heads, const Json& asked, bool is_pair) {
  std::vector<const Head*> found;
  std::string known;
  for (const Head& head : heads) {
    known += (known.empty() ? "" : ", ") + head.name;
    const bool is_wanted = asked.get("task").is_null() ? heads.size() == 1 || head.takes(is_pair)
                                                       : asked.get("task").text() == head.name;
    if (is_wanted) found.push_back(&head);
  }
  if (found.empty() && asked.get("task").is_null())
    throw Error(std::string("no task of the model is for ") + (is_pair ? "pairs" : "single texts") + ": " + known + ".");
  if (found.empty()) throw Error("the model has no task '" + asked.get("task").text() + "'; it has " + known + ".");
  return found;
}

std::string answered(const std::string& line, const edgedistill::Tokenizer& tokenizer, const Model& model,
                     const Request& request, const std::vector<Head>& heads, bool tells_all) {
  const Json asked = Json::parse(line);
  const bool is_pair = !asked.get("text_pair").is_null();
  const std::string text = asked.at("text").text(), pair = is_pair ? asked.get("text_pair").text() : "";
  const auto wanted = asked_for(heads, asked, is_pair);
  const auto encoding = tokenizer.encode(text, is_pair ? &pair : nullptr, tokenizer.max_length());
  const Answer answer = model.answer(inputs_of(encoding, request));
  const Asked said{text, is_pair ? &pair : nullptr, encoding, answer.outputs};
  Writer writer;
  writer.open('{');
  if (heads.size() == 1) {
    write_answer(heads[0], said, writer);
  } else {
    writer.key("tasks").open('{');
    for (const Head* head : wanted) {
      writer.key(head->name).open('{');
      write_answer(*head, said, writer);
      writer.close('}');
    }
    writer.close('}');
  }
  if (answer.layers > 0) writer.key("segments").value(answer.layers);
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
    const std::vector<Head> heads = heads_of(Json::parse(read_file(folder + "model/manifest.json")));
    int64_t number = 0;
    for (std::string line; std::getline(std::cin, line);) {
      ++number;
      if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
      try {
        std::cout << answered(line, tokenizer, model, request, heads, tells_all) << std::endl;
      } catch (const std::exception& error) {
        throw Error("line " + std::to_string(number) + ": " + error.what());
      }
    }
  } catch (const std::exception& error) {
    return tell(error.what());
  }
  return 0;
}
