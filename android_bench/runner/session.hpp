// One graph made ready in its runtime: the same shape for ONNX Runtime and LiteRT.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "request.hpp"

class Session {
 public:
  virtual ~Session() = default;
  // Inputs in the graph's own order.
  virtual const std::vector<Port>& inputs() const = 0;
  // Runs one batch. Takes one tensor for every input, in their order.
  virtual std::vector<Tensor> run(const std::vector<const Tensor*>& feeds) = 0;
};

// A runtime's library, loaded once; opens graphs. Throws Error for a library or model that it refuses.
class Runtime {
 public:
  virtual ~Runtime() = default;
  virtual std::string version() const = 0;
  virtual std::unique_ptr<Session> open(const GraphSpec& graph, const std::string& path) = 0;
};

std::unique_ptr<Runtime> load_onnx(const std::string& library, int threads);
std::unique_ptr<Runtime> load_litert(const std::string& library, int threads);

// A symbol of a loaded library, or Error.
void* open_library(const std::string& path);
void* symbol(void* library, const std::string& path, const char* name);
