// What a model's outputs say of a text: labels, numbers, parts of the text, tags or directions, head by head.
#pragma once

#include <string>
#include <vector>

#include "json.hpp"
#include "request.hpp"
#include "tokenizer.hpp"

// One question that the model answers.
struct Head {
  std::string name, kind, output;
  std::vector<std::string> labels;

  // Whether it is asked of a pair, or of one text; a number is given to either.
  bool takes(bool is_pair) const;
};

// The heads of a manifest, the main one first. Throws Error for a manifest that names none.
std::vector<Head> heads_of(const Json& manifest);

// What was asked of the model, and what it said.
struct Asked {
  const std::string& text;
  const std::string* pair;  // null: none
  const edgedistill::Encoding& encoding;
  const std::vector<Tensor>& outputs;
};

// Writes the keys of one head's answer. Throws Error where the output is missing, of another size, or no number.
void write_answer(const Head& head, const Asked& asked, Writer& writer);

// The output's numbers. Throws Error where they are of another type.
std::vector<float> floats(const Tensor& tensor);
