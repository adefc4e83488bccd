// What the tokenizer knows of characters, read from unicode.txt. C++ has no such table of its own.
#pragma once

#include <cstdint>
#include <istream>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace edgedistill {

using Point = char32_t;

// Writes a character behind a text in UTF-8.
void append_utf8(Point point, std::string& text);

class Unicode {
 public:
  // Throws std::runtime_error when the file is of another version.
  explicit Unicode(std::istream& table);

  // Whether a character is one of "removed", "space", "ideograph", "punctuation" or "mark".
  bool is(const std::string& name, Point point) const;
  // Canonical combining class, or a number that stands in the same order; 0 for what marks stand on.
  int combining_class(Point point) const;
  // The lower case, and the canonical decomposition; the character itself where it has none.
  std::vector<Point> lower(Point point) const;
  std::vector<Point> decompose(Point point) const;

 private:
  using Texts = std::unordered_map<Point, std::vector<Point>>;

  void read_classes(std::istream& entries);
  void read_shifts(std::istream& entries);
  static void read_texts(std::istream& entries, Texts& into);

  std::unordered_map<std::string, std::vector<std::pair<Point, Point>>> ranges_;
  std::unordered_map<Point, int> classes_;
  Texts lowered_;
  Texts decomposed_;
};

}  // namespace edgedistill
