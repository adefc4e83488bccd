// runner REQUEST.json RESULT.json: loads a model, warms it up, measures it, and writes what it saw.
#include <cstdio>

#include "error.hpp"
#include "measure.hpp"

namespace {

constexpr int kRefused = 2;

int tell(const std::string& error) {
  std::fprintf(stderr, "error: %s\n", error.c_str());
  return kRefused;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return tell("usage: runner REQUEST.json RESULT.json");
  Request request;
  request.runtime_build = "glibc-wheel";
  Result result;
  std::string error;
  try {
    result.is_emulated = is_emulated();
    read_request(words[1], request);
    measure(request, result);
  } catch (const std::exception& refused) {
    error = refused.what();
  }
  // Without a readable head there is nothing a result could belong to.
  const bool has_head = !request.id.empty() && !request.source.empty() && !request.runtime.empty();
  try {
    if (has_head) write_result(words[2], request, result, error);
  } catch (const Error& unwritten) {
    return tell(unwritten.what());
  }
  return error.empty() ? 0 : tell(error);
}
