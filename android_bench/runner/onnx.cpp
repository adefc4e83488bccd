#include <cstring>
#include <map>

#include "error.hpp"
#include "onnx_api.hpp"
#include "session.hpp"

namespace {

constexpr int kErrorsOnly = 3;
// ONNX's numbers for element types (onnx.proto, TensorProto.DataType).
const std::map<std::string, int> kTypes = {{"float32", 1}, {"uint8", 2}, {"int8", 3},    {"int32", 6},
                                           {"int64", 7},   {"bool", 9},  {"float16", 10}};

std::string dtype_of(int type) {
  for (const auto& [name, number] : kTypes)
    if (number == type) return name;
  throw Error("the model has an array of ONNX type " + std::to_string(type) + ", which this runner does not know.");
}

class OnnxSession : public Session {
 public:
  OnnxSession(const OrtSlots& ort, void* session, void* memory) : ort_(ort), session_(session), memory_(memory) {
    size_t count = 0;
    check(ort_.SessionGetInputCount(session_, &count));
    for (size_t index = 0; index < count; ++index) inputs_.push_back({name(index, true), input_dtype(index)});
    check(ort_.SessionGetOutputCount(session_, &count));
    for (size_t index = 0; index < count; ++index) output_names_.push_back(name(index, false));
    for (const auto& input : inputs_) given_.push_back(input.name.c_str());
    for (const auto& output : output_names_) wanted_.push_back(output.c_str());
  }
  ~OnnxSession() override { ort_.ReleaseSession(session_); }

  const std::vector<Port>& inputs() const override { return inputs_; }

  std::vector<Tensor> run(const std::vector<const Tensor*>& feeds) override {
    std::vector<void*> values(feeds.size(), nullptr), answers(wanted_.size(), nullptr);
    for (size_t index = 0; index < feeds.size(); ++index) {
      const Tensor& feed = *feeds[index];
      check(ort_.CreateTensorWithDataAsOrtValue(memory_, const_cast<uint8_t*>(feed.bytes.data()), feed.bytes.size(),
                                                feed.shape.data(), feed.shape.size(), kTypes.at(feed.dtype),
                                                &values[index]));
    }
    void* status = ort_.Run(session_, nullptr, given_.data(), values.data(), values.size(), wanted_.data(),
                            wanted_.size(), answers.data());
    for (void* value : values) ort_.ReleaseValue(value);
    check(status);
    std::vector<Tensor> found;
    for (size_t index = 0; index < answers.size(); ++index) {
      found.push_back(copied(output_names_[index], answers[index]));
      ort_.ReleaseValue(answers[index]);
    }
    return found;
  }

  void check(void* status) const {
    if (status == nullptr) return;
    std::string message = ort_.GetErrorMessage(status);
    ort_.ReleaseStatus(status);
    throw Error("ONNX Runtime refuses: " + message.substr(0, message.find('\n')));
  }

 private:
  const OrtSlots& ort_;
  void* session_;
  void* memory_;
  std::vector<Port> inputs_;
  std::vector<std::string> output_names_;
  std::vector<const char*> given_, wanted_;

  std::string name(size_t index, bool is_input) const {
    void* allocator = nullptr;
    char* text = nullptr;
    check(ort_.GetAllocatorWithDefaultOptions(&allocator));
    check(is_input ? ort_.SessionGetInputName(session_, index, allocator, &text)
                   : ort_.SessionGetOutputName(session_, index, allocator, &text));
    const std::string found = text;
    check(ort_.AllocatorFree(allocator, text));
    return found;
  }

  std::string input_dtype(size_t index) const {
    void* info = nullptr;
    const void* tensor = nullptr;
    int type = 0;
    check(ort_.SessionGetInputTypeInfo(session_, index, &info));
    check(ort_.CastTypeInfoToTensorInfo(info, &tensor));
    if (tensor == nullptr) throw Error("input " + std::to_string(index) + " of the model is not an array.");
    check(ort_.GetTensorElementType(tensor, &type));
    ort_.ReleaseTypeInfo(info);
    return dtype_of(type);
  }

  Tensor copied(const std::string& name, void* value) const {
    void* info = nullptr;
    void* data = nullptr;
    int type = 0;
    size_t rank = 0;
    check(ort_.GetTensorTypeAndShape(value, &info));
    check(ort_.GetTensorElementType(info, &type));
    check(ort_.GetDimensionsCount(info, &rank));
    Tensor tensor{name, dtype_of(type), std::vector<int64_t>(rank), {}};
    check(ort_.GetDimensions(info, tensor.shape.data(), rank));
    ort_.ReleaseTensorTypeAndShapeInfo(info);
    check(ort_.GetTensorMutableData(value, &data));
    tensor.bytes.resize(bytes_of(tensor.dtype, tensor.shape));
    if (!tensor.bytes.empty()) std::memcpy(tensor.bytes.data(), data, tensor.bytes.size());
    return tensor;
  }
};

class OnnxRuntime : public Runtime {
 public:
  OnnxRuntime(const OrtBase& base, const void* const* table, int threads) : version_(base.version()), ort_(table) {
    check(ort_.CreateEnv(kErrorsOnly, "edgedistill", &env_));
    check(ort_.CreateCpuMemoryInfo(1, 0, &memory_));  // arena, default memory
    check(ort_.CreateSessionOptions(&options_));
    check(ort_.SetIntraOpNumThreads(options_, threads));
    check(ort_.SetInterOpNumThreads(options_, 1));
    check(ort_.SetSessionLogSeverityLevel(options_, kErrorsOnly));
  }

  std::string version() const override { return version_; }

  std::unique_ptr<Session> open(const GraphSpec&, const std::string& path) override {
    void* session = nullptr;
    check(ort_.CreateSession(env_, path.c_str(), options_, &session));
    return std::make_unique<OnnxSession>(ort_, session, memory_);
  }

 private:
  std::string version_;
  OrtSlots ort_;
  void* env_ = nullptr;
  void* memory_ = nullptr;
  void* options_ = nullptr;

  void check(void* status) const {
    if (status == nullptr) return;
    std::string message = ort_.GetErrorMessage(status);
    ort_.ReleaseStatus(status);
    throw Error("ONNX Runtime refuses: " + message.substr(0, message.find('\n')));
  }
};

}  // namespace

std::unique_ptr<Runtime> load_onnx(const std::string& library, int threads) {
  void* handle = open_library(library);
  using GetBase = const OrtBase* (*)();
  const auto base = reinterpret_cast<GetBase>(symbol(handle, library, "OrtGetApiBase"))();
  const void* const* table = base->api(kOrtVersion);
  if (table == nullptr)
    throw Error("ONNX Runtime " + std::string(base->version()) + " is older than this runner takes: 1.16 at least.");
  return std::make_unique<OnnxRuntime>(*base, table, threads);
}
