// The run itself: load, first inference, warm-up, outputs, measured inferences.
#pragma once

#include <string>
#include <vector>

#include "machine.hpp"
#include "request.hpp"

struct Output {
  size_t input;
  Tensor tensor;  // without bytes
  int64_t offset;
};

struct Result {
  bool is_emulated = false;
  std::string runtime_version;
  std::vector<int> cores;
  int64_t load_ns = 0, first_ns = 0, warm_up_runs = 0, runs = 0;
  std::vector<int64_t> samples_ns;
  std::vector<Reading> readings;
  std::vector<int> layers;
  std::vector<Output> outputs;
};

// Fills `result` as far as it gets. Throws Error.
void measure(const Request& request, Result& result);

// Writes it beside its place, then renames. An empty `error` means done. Throws Error.
void write_result(const std::string& path, const Request& request, const Result& result, const std::string& error);
