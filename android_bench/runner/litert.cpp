#include "litert_api.hpp"

#include <cstdlib>
#include <cstring>
#include <map>

#include "error.hpp"
#include "session.hpp"

namespace {

constexpr size_t kAlignment = 64;  // LiteRT's of host memory
// TensorFlow Lite's numbers for element types.
const std::map<int, std::string> kTypes = {{1, "float32"}, {2, "int32"}, {3, "uint8"},  {4, "int64"},
                                           {6, "bool"},    {9, "int8"},  {10, "float16"}};

struct LiteRt {
#define X(name, result, arguments) result(*name) arguments;
  LITERT_FUNCTIONS(X)
#undef X
  LiteRt(void* handle, const std::string& path) {
#define X(name, result, arguments) name = reinterpret_cast<result(*) arguments>(symbol(handle, path, #name));
    LITERT_FUNCTIONS(X)
#undef X
  }
};

void check(int status, const std::string& what) {
  if (status != 0) throw Error("LiteRT cannot " + what + " (status " + std::to_string(status) + ").");
}

// One input or output with memory that the model reads from or writes to.
struct Slot {
  Tensor tensor;  // without bytes: those are in `memory`
  size_t bytes = 0;
  void* memory = nullptr;
  void* buffer = nullptr;
};

class LiteRtSession : public Session {
 public:
  LiteRtSession(const LiteRt& api, void* compiled, size_t index, void* signature)
      : api_(api), compiled_(compiled), index_(index) {
    size_t count = 0;
    check(api_.LiteRtGetNumSignatureInputs(signature, &count), "count the model's inputs");
    for (size_t one = 0; one < count; ++one) given_.push_back(slot(signature, one, true));
    check(api_.LiteRtGetNumSignatureOutputs(signature, &count), "count the model's outputs");
    for (size_t one = 0; one < count; ++one) wanted_.push_back(slot(signature, one, false));
    for (const auto& one : given_) {
      inputs_.push_back({one.tensor.name, one.tensor.dtype});
      in_.push_back(one.buffer);
    }
    for (const auto& one : wanted_) out_.push_back(one.buffer);
  }
  ~LiteRtSession() override {
    for (auto* slots : {&given_, &wanted_})
      for (auto& one : *slots) {
        api_.LiteRtDestroyTensorBuffer(one.buffer);
        std::free(one.memory);
      }
  }

  const std::vector<Port>& inputs() const override { return inputs_; }

  std::vector<Tensor> run(const std::vector<const Tensor*>& feeds) override {
    for (size_t one = 0; one < feeds.size(); ++one) {
      if (feeds[one]->bytes.size() != given_[one].bytes)
        throw Error("input '" + given_[one].tensor.name + "' takes " + std::to_string(given_[one].bytes) +
                    " bytes, not " + std::to_string(feeds[one]->bytes.size()) + ".");
      std::memcpy(given_[one].memory, feeds[one]->bytes.data(), given_[one].bytes);
    }
    check(api_.LiteRtRunCompiledModel(compiled_, index_, in_.size(), in_.data(), out_.size(), out_.data()),
          "run the model");
    std::vector<Tensor> found;
    for (const auto& one : wanted_) {
      found.push_back(one.tensor);
      const auto* first = static_cast<const uint8_t*>(one.memory);
      found.back().bytes.assign(first, first + one.bytes);
    }
    return found;
  }

 private:
  const LiteRt& api_;
  void* compiled_;
  size_t index_;
  std::vector<Slot> given_, wanted_;
  std::vector<void*> in_, out_;
  std::vector<Port> inputs_;

  Slot slot(void* signature, size_t index, bool is_input) const {
    const char* name = nullptr;
    void* tensor = nullptr;
    LiteRtType type{};
    check(is_input ? api_.LiteRtGetSignatureInputName(signature, index, &name)
                   : api_.LiteRtGetSignatureOutputName(signature, index, &name),
          "name the model's inputs and outputs");
    check(is_input ? api_.LiteRtGetSignatureInputTensorByIndex(signature, index, &tensor)
                   : api_.LiteRtGetSignatureOutputTensorByIndex(signature, index, &tensor),
          "find the model's inputs and outputs");
    check(api_.LiteRtGetRankedTensorType(tensor, &type), "say the shape of '" + std::string(name) + "'");
    Slot made;
    made.tensor.name = name;
    const auto known = kTypes.find(type.element);
    if (known == kTypes.end()) throw Error("'" + made.tensor.name + "' is of a type this runner does not know.");
    made.tensor.dtype = known->second;
    for (unsigned axis = 0; axis < type.rank(); ++axis) {
      if (type.sizes[axis] < 0) throw Error("'" + made.tensor.name + "' has no fixed shape. Export fixed lengths.");
      made.tensor.shape.push_back(type.sizes[axis]);
    }
    made.bytes = bytes_of(made.tensor.dtype, made.tensor.shape);
    const size_t room = (made.bytes / kAlignment + 2) * kAlignment;  // XNNPACK may read a little past the end
    if (posix_memalign(&made.memory, kAlignment, room) != 0) throw Error("out of memory.");
    std::memset(made.memory, 0, room);
    check(api_.LiteRtCreateTensorBufferFromHostMemory(&type, made.memory, made.bytes, nullptr, &made.buffer),
          "use memory for '" + made.tensor.name + "'");
    return made;
  }
};

class LiteRtRuntime : public Runtime {
 public:
  LiteRtRuntime(void* handle, const std::string& library, int threads) : api_(handle, library), threads_(threads) {
    check(api_.LiteRtCreateEnvironment(0, nullptr, &environment_), "start");
  }

  std::string version() const override { return ""; }  // the library does not say

  std::unique_ptr<Session> open(const GraphSpec& graph, const std::string& path) override {
    Opened& file = opened(path);
    size_t count = 0;
    check(api_.LiteRtGetNumModelSignatures(file.model, &count), "count the signatures of '" + graph.file + "'");
    for (size_t index = 0; index < count; ++index) {
      void* signature = nullptr;
      const char* key = nullptr;
      check(api_.LiteRtGetModelSignature(file.model, index, &signature), "read a signature of '" + graph.file + "'");
      check(api_.LiteRtGetSignatureKey(signature, &key), "read a signature's name");
      if (graph.signature.empty() || graph.signature == key)
        return std::make_unique<LiteRtSession>(api_, file.compiled, index, signature);
    }
    throw Error("'" + graph.file + "' has no signature '" + graph.signature + "'.");
  }

 private:
  struct Opened {
    void* model = nullptr;
    void* compiled = nullptr;
  };
  LiteRt api_;
  int threads_;
  void* environment_ = nullptr;
  std::map<std::string, Opened> files_;  // several graphs may be signatures of one file

  Opened& opened(const std::string& path) {
    const auto found = files_.find(path);
    if (found != files_.end()) return found->second;
    Opened file;
    check(api_.LiteRtCreateModelFromFile(environment_, path.c_str(), &file.model), "read '" + path + "'");
    check(api_.LiteRtCreateCompiledModel(environment_, file.model, options(), &file.compiled),
          "make '" + path + "' ready");
    return files_[path] = file;
  }

  void* options() const {
    void *made = nullptr, *processor = nullptr;
    check(api_.LiteRtCreateOptions(&made), "make options");
    check(api_.LiteRtSetOptionsHardwareAccelerators(made, kLiteRtCpu), "choose the processor");
    char* toml = strdup(("num_threads = " + std::to_string(threads_) + "\n").c_str());
    check(api_.LiteRtCreateOpaqueOptions(kLiteRtCpuOptions, toml, std::free, &processor), "make options");
    check(api_.LiteRtAddOpaqueOptions(made, processor), "set the number of threads");
    return made;
  }
};

}  // namespace

std::unique_ptr<Runtime> load_litert(const std::string& library, int threads) {
  return std::make_unique<LiteRtRuntime>(open_library(library), library, threads);
}
