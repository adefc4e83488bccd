// The JSON that requests and results are made of: a reader that refuses what is not JSON, and a writer.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

class Json {
 public:
  enum class Kind { null, boolean, number, text, list, object };

  // Throws Error with the place where the text stops being JSON.
  static Json parse(const std::string& text);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::null; }

  // Each throws Error naming this value's place (such as graphs[0].file) when it is of another kind.
  bool boolean() const;
  double number() const;
  int64_t integer() const;
  const std::string& text() const;
  const std::vector<Json>& list() const;

  // A key of an object. `at` throws when it is missing; `get` gives null.
  const Json& at(const std::string& key) const;
  const Json& get(const std::string& key) const;

 private:
  friend class Reader;
  Kind kind_ = Kind::null;
  bool boolean_ = false;
  double number_ = 0;
  std::string text_;
  std::vector<Json> list_;
  std::map<std::string, Json> object_;
  std::string place_;

  void must_be(Kind kind, const char* name) const;
};

// Writes one value after another; commas and braces are its business.
class Writer {
 public:
  Writer& open(char bracket);
  Writer& close(char bracket);
  Writer& key(const std::string& name);
  Writer& value(const std::string& text);
  Writer& value(const char* text) { return value(std::string(text)); }
  Writer& value(bool truth);
  Writer& value(int64_t number);
  Writer& value(int number) { return value(static_cast<int64_t>(number)); }
  Writer& value(double number);
  Writer& null();
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  bool needs_comma_ = false;

  Writer& raw(const std::string& text);
};
