// BERT's WordPiece, or a list of whole words: the same numbers as the Hugging Face tokenizer the model was trained with.
#pragma once

#include <cstddef>
#include <istream>
#include <string>
#include <unordered_map>
#include <vector>

#include "unicode.hpp"

namespace edgedistill {

// One tokenised text or pair, special tokens included, without padding. All of them are equally long.
struct Encoding {
  std::vector<int> ids;
  std::vector<int> type_ids;        // 0 for the first text and its special tokens, 1 for the second
  std::vector<int> sources;         // 0 or 1; -1 for tokens that were added
  std::vector<std::size_t> starts;  // in bytes of the token's text
  std::vector<std::size_t> ends;
};

class Tokenizer {
 public:
  // Reads tokenizer.spec, vocab.txt and unicode.txt. Throws std::runtime_error when one is of another version.
  Tokenizer(std::istream& specification, std::istream& vocabulary, std::istream& unicode);

  int pad_id() const { return number("pad"); }
  int max_length() const { return number("max_length"); }

  // One text or a pair (null: none) in UTF-8, cut to `length` tokens, the longer text first. What is no UTF-8 is left
  // out. Throws std::invalid_argument when no text fits.
  Encoding encode(const std::string& text, const std::string* pair, int length) const;

 private:
  struct Letter {
    Point point;
    std::size_t start;
    std::size_t end;
  };
  struct Token {
    int id;
    std::size_t start;
    std::size_t end;
  };
  using Letters = std::vector<Letter>;
  using Tokens = std::vector<Token>;

  int number(const std::string& key) const;
  bool does(const std::string& key) const { return spec_.at(key) == "true"; }
  Tokens tokens(const std::string& text) const;
  std::string special_at(const std::string& text, std::size_t place) const;
  Letters normalised(const std::string& text, std::size_t from, std::size_t to) const;
  Letters without_accents(const Letters& text) const;
  Letters lowered(const Letters& text) const;
  void words(const Letters& text, Tokens& into) const;
  void word(const Letters& text, std::size_t from, std::size_t to, Tokens& into) const;
  bool pieces(const Letters& text, std::size_t from, std::size_t to, Tokens& into) const;

  std::unordered_map<std::string, std::string> spec_;
  std::unordered_map<std::string, int> special_;
  std::unordered_map<std::string, int> vocabulary_;
  Unicode unicode_;
};

}  // namespace edgedistill
