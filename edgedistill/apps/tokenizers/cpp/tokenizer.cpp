#include "tokenizer.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace edgedistill {
namespace {

constexpr Point kWrong = 0xFFFD;  // stands for bytes that are no UTF-8; cleaning drops it

// One character from `place` on, and where it ends.
std::pair<Point, std::size_t> character(const std::string& text, std::size_t place) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(at < text.size() ? text[at] : 0); };
  const unsigned char first = byte(place);
  if (first < 0x80) return {first, place + 1};
  const int more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
  if (first < 0xC2 || first > 0xF4) return {kWrong, place + 1};
  Point point = first & (0x3F >> more);
  for (int number = 1; number <= more; ++number) {
    const unsigned char next = byte(place + number);
    if ((next & 0xC0) != 0x80) return {kWrong, place + number};
    point = point << 6 | (next & 0x3F);
  }
  const bool is_wrong = point > 0x10FFFF || (point >= 0xD800 && point < 0xE000) || (more == 2 && point < 0x800) ||
                        (more == 3 && point < 0x10000);
  return {is_wrong ? kWrong : point, place + 1 + more};
}

// How many tokens of each text stay: the longer one gives first, then both alike.
std::pair<std::size_t, std::size_t> kept(std::size_t first, std::size_t second, std::size_t room) {
  if (first + second <= room) return {first, second};
  std::size_t shorter = std::min(first, second);
  std::size_t longer = shorter > room ? shorter : std::max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = room / 2;
    longer = shorter + room % 2;
  }
  return first > second ? std::make_pair(longer, shorter) : std::make_pair(shorter, longer);
}

}  // namespace

Tokenizer::Tokenizer(std::istream& specification, std::istream& vocabulary, std::istream& unicode)
    : unicode_(unicode) {
  std::string line;
  if (!std::getline(specification, line) || line != "edgedistill-tokenizer 1") {
    throw std::runtime_error("tokenizer.spec is of another version: " + line);
  }
  while (std::getline(specification, line)) {
    const auto equals = line.find('=');
    const std::string key = line.substr(0, equals), value = line.substr(equals + 1);
    if (key.rfind("special.", 0) == 0) {
      special_[value] = std::stoi(key.substr(8));
    } else {
      spec_[key] = value;
    }
  }
  for (int id = 0; std::getline(vocabulary, line); ++id) vocabulary_[line] = id;
}

int Tokenizer::number(const std::string& key) const {
  const auto found = spec_.find(key);
  if (found == spec_.end()) throw std::runtime_error("tokenizer.spec says nothing of '" + key + "'");
  return std::stoi(found->second);
}

Encoding Tokenizer::encode(const std::string& text, const std::string* pair, int length) const {
  const Tokens first = tokens(text), second = pair ? tokens(*pair) : Tokens();
  const int room = length - (pair ? 3 : 2);
  if (room < 0) throw std::invalid_argument("no text fits into " + std::to_string(length) + " tokens");
  const auto [one, other] = kept(first.size(), second.size(), static_cast<std::size_t>(room));
  Encoding result;
  const auto add = [&](const Token& token, int type, int source) {
    result.ids.push_back(token.id);
    result.type_ids.push_back(type);
    result.sources.push_back(source);
    result.starts.push_back(token.start);
    result.ends.push_back(token.end);
  };
  add({number("cls"), 0, 0}, 0, -1);
  for (std::size_t place = 0; place < one; ++place) add(first[place], 0, 0);
  add({number("sep"), 0, 0}, 0, -1);
  if (pair) {
    for (std::size_t place = 0; place < other; ++place) add(second[place], 1, 1);
    add({number("sep"), 0, 0}, 1, -1);
  }
  return result;
}

// The text's own tokens: special ones that are written out in it are taken as they are.
Tokenizer::Tokens Tokenizer::tokens(const std::string& text) const {
  Tokens found;
  std::size_t start = 0, place = 0;
  while (place < text.size()) {
    const std::string special = special_at(text, place);
    if (special.empty()) {
      ++place;
      continue;
    }
    words(normalised(text, start, place), found);
    found.push_back({special_.at(special), place, place + special.size()});
    place += special.size();
    start = place;
  }
  words(normalised(text, start, place), found);
  return found;
}

std::string Tokenizer::special_at(const std::string& text, std::size_t place) const {
  std::string found;
  for (const auto& [each, id] : special_) {
    if (each.size() > found.size() && text.compare(place, each.size(), each) == 0) found = each;
  }
  return found;
}

// Cleaned, ideographs set apart, accents taken off, capitals lowered: in this order.
Tokenizer::Letters Tokenizer::normalised(const std::string& text, std::size_t from, std::size_t to) const {
  const bool splits = does("split_ideographs");
  Letters clean;
  for (std::size_t start = from; start < to;) {
    const auto [point, end] = character(text, start);
    if (unicode_.is("space", point)) {
      clean.push_back({U' ', start, end});
    } else if (splits && unicode_.is("ideograph", point)) {
      clean.push_back({U' ', start, end});
      clean.push_back({point, start, end});
      clean.push_back({U' ', start, end});
    } else if (!unicode_.is("removed", point)) {
      clean.push_back({point, start, end});
    }
    start = end;
  }
  const Letters stripped = does("strip_accents") ? without_accents(clean) : clean;
  return does("lowercase") ? lowered(stripped) : stripped;
}

// Letters and marks apart, the marks in the order of their classes, then most of them left out.
Tokenizer::Letters Tokenizer::without_accents(const Letters& text) const {
  std::vector<std::pair<Point, bool>> parts;  // and whether it is a first one, which a place is for
  for (const Letter& letter : text) {
    bool is_first = true;
    for (const Point part : unicode_.decompose(letter.point)) parts.push_back({part, std::exchange(is_first, false)});
  }
  for (std::size_t place = 1; place < parts.size(); ++place) {
    const int mark = unicode_.combining_class(parts[place].first);
    for (std::size_t before = place; mark > 0 && before > 0; --before) {
      if (unicode_.combining_class(parts[before - 1].first) <= mark) break;
      std::swap(parts[before - 1], parts[before]);
    }
  }
  Letters result;
  std::size_t next = 0;  // as the Hugging Face library has it, places stay where they are when marks change theirs
  for (const auto& [point, is_first] : parts) {
    if (is_first) ++next;
    const Letter& source = text[next > 0 ? next - 1 : 0];
    if (!unicode_.is("mark", point)) result.push_back({point, source.start, source.end});
  }
  return result;
}

Tokenizer::Letters Tokenizer::lowered(const Letters& text) const {
  Letters result;
  for (const Letter& letter : text) {
    for (const Point point : unicode_.lower(letter.point)) result.push_back({point, letter.start, letter.end});
  }
  return result;
}

// Cuts at blanks, and before and after every punctuation mark.
void Tokenizer::words(const Letters& text, Tokens& into) const {
  std::size_t start = 0;
  for (std::size_t place = 0; place < text.size(); ++place) {
    const bool is_mark = unicode_.is("punctuation", text[place].point);
    if (is_mark || text[place].point == U' ') {
      word(text, start, place, into);
      start = place + 1;
    }
    if (is_mark) word(text, place, place + 1, into);
  }
  word(text, start, text.size(), into);
}

void Tokenizer::word(const Letters& text, std::size_t from, std::size_t to, Tokens& into) const {
  if (from == to) return;
  const bool is_word_piece = spec_.at("kind") == "wordpiece";
  if (is_word_piece && to - from <= static_cast<std::size_t>(number("max_characters"))) {
    if (pieces(text, from, to, into)) return;
  }
  int id = number("unknown");
  if (!is_word_piece) {
    std::string whole;
    for (std::size_t place = from; place < to; ++place) append_utf8(text[place].point, whole);
    const auto found = vocabulary_.find(whole);
    if (found != vocabulary_.end()) id = found->second;
  }
  into.push_back({id, text[from].start, text[to - 1].end});
}

// The longest entries that fit, from the first letter on; false, and nothing added, where some part fits none.
bool Tokenizer::pieces(const Letters& text, std::size_t from, std::size_t to, Tokens& into) const {
  Tokens found;
  for (std::size_t start = from; start < to;) {
    std::string piece = start > from ? spec_.at("prefix") : "";
    std::size_t best = start;
    int id = 0;
    for (std::size_t end = start; end < to; ++end) {
      append_utf8(text[end].point, piece);
      const auto entry = vocabulary_.find(piece);
      if (entry == vocabulary_.end()) continue;
      best = end + 1;
      id = entry->second;
    }
    if (best == start) return false;
    found.push_back({id, text[start].start, text[best - 1].end});
    start = best;
  }
  into.insert(into.end(), found.begin(), found.end());
  return true;
}

}  // namespace edgedistill
