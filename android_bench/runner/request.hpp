// A request as edgedistill/phones/protocol.py describes it, checked as far as it can be without opening a model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "json.hpp"

// An array in memory: raw little-endian bytes, rows first.
struct Tensor {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<uint8_t> bytes;
};

struct Port {
  std::string name;
  std::string dtype;
};

struct GraphSpec {
  std::string name;
  std::string file;
  std::string signature;  // empty: the file is one graph
  int64_t length = 0;     // 0: free
  int64_t shortest = 1;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
};

struct ExitSpec {
  std::vector<std::string> graphs;
  std::string output;
  double threshold = 0;
};

struct DriverSpec {
  std::string kind;                 // single, buckets, heads, cascade
  std::vector<std::string> graphs;  // of all but a cascade
  std::vector<ExitSpec> exits;
  std::string carry_output, carry_input;
  bool asks_all = false;
};

using InputSet = std::vector<Tensor>;

struct Request {
  std::string folder;  // of the request, ends with /
  std::string id, source, runtime, runtime_build, library, outputs;
  std::vector<GraphSpec> graphs;
  DriverSpec driver;
  std::vector<InputSet> inputs;
  int64_t threads = 1;
  std::vector<int> cores;
  int64_t warm_up_runs = 0, min_runs = 0;
  double warm_up_seconds = 0, min_seconds = 0, max_seconds = 0, sensor_seconds = 0;
  bool marks = false;
};

// Bytes of one element; throws Error for a type that is none of the protocol's.
size_t dtype_bytes(const std::string& dtype);
size_t bytes_of(const std::string& dtype, const std::vector<int64_t>& shape);

std::string read_file(const std::string& path);

// Fills `request` as far as it gets, so that a failure can still be told under the request's id.
// Throws Error: no file, not JSON, a key missing or of the wrong kind, an input file that is missing or too short.
void read_request(const std::string& path, Request& request);
