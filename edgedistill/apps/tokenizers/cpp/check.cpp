// `check FOLDER`: compares the tokenizer with what the Hugging Face one said (tokenizer-goldens.tsv of the folder);
// prints how many texts were asked, then the numbers of the lines that differ, from 1.
#include <cstddef>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "tokenizer.hpp"

namespace {

// The text with every \uXXXX as the UTF-16 unit it stands for; halves of a pair that are alone become U+FFFD.
std::string unescaped(const std::string& text) {
  std::vector<unsigned> units;
  for (std::size_t place = 0; place < text.size(); ++place) {
    if (text[place] == '\\') {
      units.push_back(static_cast<unsigned>(std::stoul(text.substr(place + 2, 4), nullptr, 16)));
      place += 5;
    } else {
      units.push_back(static_cast<unsigned char>(text[place]));
    }
  }
  std::string result;
  for (std::size_t place = 0; place < units.size(); ++place) {
    const unsigned unit = units[place], next = place + 1 < units.size() ? units[place + 1] : 0;
    if (unit >= 0xD800 && unit < 0xDC00 && next >= 0xDC00 && next < 0xE000) {
      edgedistill::append_utf8(0x10000 + ((unit - 0xD800) << 10) + (next - 0xDC00), result);
      ++place;
    } else {
      edgedistill::append_utf8(unit >= 0xD800 && unit < 0xE000 ? 0xFFFD : unit, result);
    }
  }
  return result;
}

// UTF-16 units in the first `bytes` of the text.
std::size_t units(const std::string& text, std::size_t bytes) {
  std::size_t count = 0;
  for (std::size_t place = 0; place < bytes; ++place) {
    const unsigned char byte = static_cast<unsigned char>(text[place]);
    count += (byte & 0xC0) == 0x80 ? 0 : byte >= 0xF0 ? 2 : 1;
  }
  return count;
}

std::string said(const edgedistill::Encoding& found, const std::string& text, const std::string& pair) {
  std::ostringstream ids, types, spans;
  for (std::size_t place = 0; place < found.ids.size(); ++place) {
    const char* blank = place > 0 ? " " : "";
    const std::string& source = found.sources[place] == 1 ? pair : text;
    ids << blank << found.ids[place];
    types << blank << found.type_ids[place];
    spans << blank << units(source, found.starts[place]) << ':' << units(source, found.ends[place]);
  }
  return ids.str() + '\t' + types.str() + '\t' + spans.str();
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "usage: check FOLDER\n";
    return 2;
  }
  const std::string folder = std::string(arguments[1]) + "/";
  std::ifstream specification(folder + "tokenizer.spec"), vocabulary(folder + "vocab.txt"),
      table(folder + "unicode.txt"), goldens(folder + "tokenizer-goldens.tsv");
  const edgedistill::Tokenizer tokenizer(specification, vocabulary, table);
  std::ostringstream differ;
  int number = 0;
  for (std::string line; std::getline(goldens, line);) {
    ++number;
    const auto first = line.find('\t'), second = line.find('\t', first + 1), third = line.find('\t', second + 1);
    const std::string text = unescaped(line.substr(0, first));
    const bool is_pair = line[first + 1] == '+';
    const std::string pair = is_pair ? unescaped(line.substr(first + 2, second - first - 2)) : "";
    const int length = std::stoi(line.substr(second + 1, third - second - 1));
    if (said(tokenizer.encode(text, is_pair ? &pair : nullptr, length), text, pair) != line.substr(third + 1)) {
      differ << number << '\n';
    }
  }
  std::cout << number << '\n' << differ.str();
  return 0;
}
