#include "unicode.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace edgedistill {
namespace {

constexpr Point kHangul = 0xAC00;
constexpr Point kHangulEnd = 0xD7A4;

Point hexadecimal(const std::string& text) { return static_cast<Point>(std::stoul(text, nullptr, 16)); }

std::pair<Point, Point> range(const std::string& text) {
  const auto dash = text.find('-');
  const Point first = hexadecimal(text.substr(0, dash));
  return {first, dash == std::string::npos ? first : hexadecimal(text.substr(dash + 1))};
}

}  // namespace

void append_utf8(Point point, std::string& text) {
  const auto put = [&](Point byte) { text.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | point >> 6);
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

Unicode::Unicode(std::istream& table) {
  std::string line;
  if (!std::getline(table, line) || line.rfind("edgedistill-unicode 1 ", 0) != 0) {
    throw std::runtime_error("unicode.txt is of another version: " + line);
  }
  while (std::getline(table, line)) {
    std::istringstream entries(line);
    std::string name;
    entries >> name;
    if (name == "class") {
      read_classes(entries);
    } else if (name == "lower") {
      read_shifts(entries);
    } else if (name == "lower-long") {
      read_texts(entries, lowered_);
    } else if (name == "decompose") {
      read_texts(entries, decomposed_);
    } else {
      for (std::string entry; entries >> entry;) ranges_[name].push_back(range(entry));
    }
  }
}

bool Unicode::is(const std::string& name, Point point) const {
  const auto& ranges = ranges_.at(name);
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), point,
                                      [](Point value, const auto& each) { return value < each.first; });
  return after != ranges.begin() && point <= std::prev(after)->second;
}

int Unicode::combining_class(Point point) const {
  const auto found = classes_.find(point);
  return found == classes_.end() ? 0 : found->second;
}

std::vector<Point> Unicode::lower(Point point) const {
  const auto found = lowered_.find(point);
  return found == lowered_.end() ? std::vector<Point>{point} : found->second;
}

std::vector<Point> Unicode::decompose(Point point) const {
  if (point < kHangul || point >= kHangulEnd) {
    const auto found = decomposed_.find(point);
    return found == decomposed_.end() ? std::vector<Point>{point} : found->second;
  }
  const Point syllable = point - kHangul;
  std::vector<Point> parts{0x1100 + syllable / 588, 0x1161 + syllable % 588 / 28};
  if (syllable % 28 != 0) parts.push_back(0x11A7 + syllable % 28);
  return parts;
}

void Unicode::read_classes(std::istream& entries) {
  for (std::string entry; entries >> entry;) {
    const auto colon = entry.find(':');
    const auto [first, last] = range(entry.substr(0, colon));
    for (Point point = first; point <= last; ++point) classes_[point] = std::stoi(entry.substr(colon + 1), nullptr, 16);
  }
}

void Unicode::read_shifts(std::istream& entries) {
  for (std::string entry; entries >> entry;) {
    const auto slash = entry.find('/');
    const auto colon = entry.find(':');
    const auto [first, last] = range(entry.substr(0, slash));
    const Point step = hexadecimal(entry.substr(slash + 1, colon - slash - 1));
    const int distance = std::stoi(entry.substr(colon + 1), nullptr, 16);
    for (Point point = first; point <= last; point += step) {
      lowered_[point] = {static_cast<Point>(static_cast<int>(point) + distance)};
    }
  }
}

void Unicode::read_texts(std::istream& entries, Texts& into) {
  for (std::string entry; entries >> entry;) {
    const auto arrow = entry.find('>');
    std::istringstream letters(entry.substr(arrow + 1));
    std::vector<Point> points;
    for (std::string letter; std::getline(letters, letter, '.');) points.push_back(hexadecimal(letter));
    into[hexadecimal(entry.substr(0, arrow))] = points;
  }
}

}  // namespace edgedistill
