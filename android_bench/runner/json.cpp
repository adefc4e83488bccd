#include "json.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "error.hpp"

namespace {

constexpr int kDeepest = 64;  // a hostile file must not end the program by nesting

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (code >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (code & 0x3F));
  }
}

}  // namespace

class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}

  Json whole() {
    Json json = value("", 0);
    skip_space();
    if (at_ != text_.size()) fail("more follows after the end");
    return json;
  }

 private:
  const std::string& text_;
  size_t at_ = 0;

  [[noreturn]] void fail(const std::string& what) const {
    throw Error("not valid JSON at byte " + std::to_string(at_) + ": " + what);
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }
  bool take(char wanted) {
    skip_space();
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }
  void must_take(char wanted) {
    if (!take(wanted)) fail(std::string("'") + wanted + "' is missing");
  }
  void word(const char* wanted) {
    const std::string expected(wanted);
    if (text_.compare(at_, expected.size(), expected) != 0) fail("no value");
    at_ += expected.size();
  }

  Json value(const std::string& place, int depth) {
    if (depth > kDeepest) fail("too deeply nested");
    skip_space();
    Json json;
    json.place_ = place;
    const char first = peek();
    if (first == '{') {
      object(json, depth);
    } else if (first == '[') {
      list(json, depth);
    } else if (first == '"') {
      json.kind_ = Json::Kind::text;
      json.text_ = string();
    } else if (first == 't' || first == 'f') {
      word(first == 't' ? "true" : "false");
      json.kind_ = Json::Kind::boolean;
      json.boolean_ = first == 't';
    } else if (first == 'n') {
      word("null");
    } else {
      number(json);
    }
    return json;
  }

  void object(Json& json, int depth) {
    json.kind_ = Json::Kind::object;
    must_take('{');
    if (take('}')) return;
    do {
      skip_space();
      const std::string key = string();
      must_take(':');
      json.object_[key] = value(json.place_.empty() ? key : json.place_ + "." + key, depth + 1);
    } while (take(','));
    must_take('}');
  }

  void list(Json& json, int depth) {
    json.kind_ = Json::Kind::list;
    must_take('[');
    if (take(']')) return;
    do {
      json.list_.push_back(value(json.place_ + "[" + std::to_string(json.list_.size()) + "]", depth + 1));
    } while (take(','));
    must_take(']');
  }

  void number(Json& json) {
    const size_t start = at_;
    while (at_ < text_.size() && std::string("+-.eE0123456789").find(text_[at_]) != std::string::npos) ++at_;
    const std::string digits = text_.substr(start, at_ - start);
    char* end = nullptr;
    json.number_ = std::strtod(digits.c_str(), &end);
    if (digits.empty() || end != digits.c_str() + digits.size() || !std::isfinite(json.number_)) fail("no value");
    json.kind_ = Json::Kind::number;
  }

  unsigned hex4() {
    const std::string digits = text_.substr(at_, 4);
    if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
      fail("\\u wants four hexadecimal digits");
    at_ += 4;
    return static_cast<unsigned>(std::strtoul(digits.c_str(), nullptr, 16));
  }

  void escape(std::string& out) {
    const char letter = at_ < text_.size() ? text_[at_++] : '\0';
    const std::string letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    const size_t found = letters.find(letter);
    if (letter != '\0' && found != std::string::npos) {
      out += meanings[found];
    } else if (letter == 'u') {
      unsigned code = hex4();
      if (code >= 0xD800 && code < 0xDC00 && text_.compare(at_, 2, "\\u") == 0) {
        at_ += 2;
        code = 0x10000 + ((code - 0xD800) << 10) + (hex4() - 0xDC00);
      }
      append_utf8(out, code);
    } else {
      fail("unknown escape");
    }
  }

  std::string string() {
    if (peek() != '"') fail("a text in double quotes is missing");
    ++at_;
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (static_cast<unsigned char>(text_[at_]) < 0x20) fail("a control character in a text");
      if (text_[at_] == '\\') {
        ++at_;
        escape(out);
      } else {
        out += text_[at_++];
      }
    }
    if (at_ == text_.size()) fail("a text without its end");
    ++at_;
    return out;
  }
};

Json Json::parse(const std::string& text) { return Reader(text).whole(); }

void Json::must_be(Kind kind, const char* name) const {
  if (kind_ != kind) throw Error("'" + place_ + "' must be " + name + ".");
}
bool Json::boolean() const { return must_be(Kind::boolean, "true or false"), boolean_; }
double Json::number() const { return must_be(Kind::number, "a number"), number_; }
const std::string& Json::text() const { return must_be(Kind::text, "a text"), text_; }
const std::vector<Json>& Json::list() const { return must_be(Kind::list, "a list"), list_; }

int64_t Json::integer() const {
  must_be(Kind::number, "a whole number");
  if (number_ != std::floor(number_) || std::fabs(number_) > 9e15) throw Error("'" + place_ + "' must be a whole number.");
  return static_cast<int64_t>(number_);
}

const Json& Json::get(const std::string& key) const {
  static const Json nothing;
  must_be(Kind::object, "an object");
  const auto found = object_.find(key);
  return found == object_.end() ? nothing : found->second;
}

const Json& Json::at(const std::string& key) const {
  const Json& found = get(key);
  if (found.is_null()) throw Error("'" + (place_.empty() ? key : place_ + "." + key) + "' is required.");
  return found;
}

Writer& Writer::raw(const std::string& text) {
  if (needs_comma_) text_ += ", ";
  text_ += text;
  needs_comma_ = true;
  return *this;
}

Writer& Writer::open(char bracket) {
  raw(std::string(1, bracket));
  needs_comma_ = false;
  return *this;
}

Writer& Writer::close(char bracket) {
  text_ += bracket;
  needs_comma_ = true;
  return *this;
}

Writer& Writer::key(const std::string& name) {
  value(name);
  text_ += ": ";
  needs_comma_ = false;
  return *this;
}

Writer& Writer::value(const std::string& text) {
  std::string quoted = "\"";
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') {
      quoted += '\\';
      quoted += letter;
    } else if (static_cast<unsigned char>(letter) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(letter));
      quoted += escaped;
    } else {
      quoted += letter;
    }
  }
  return raw(quoted + "\"");
}

Writer& Writer::value(bool truth) { return raw(truth ? "true" : "false"); }
Writer& Writer::value(int64_t number) { return raw(std::to_string(number)); }
Writer& Writer::null() { return raw("null"); }

Writer& Writer::value(double number) {
  char digits[40];
  std::snprintf(digits, sizeof digits, "%.9g", number);
  return raw(digits);
}
