// The few functions of LiteRT's C API (libLiteRt.so of ai-edge-litert 2.3) that are used here, declared by ourselves.
#pragma once

#include <cstddef>
#include <cstdint>

// An element type and a shape as LiteRT passes them: 72 bytes, of which this runner reads the first ten numbers.
struct LiteRtType {
  int32_t element;
  uint32_t rank_and_strides;  // low seven bits: rank; the next one: whether strides follow
  int32_t sizes[8];
  uint32_t strides[8];
  unsigned rank() const { return rank_and_strides & 0x7F; }
};
static_assert(sizeof(LiteRtType) == 72, "LiteRT's ranked tensor type has 72 bytes");

constexpr int kLiteRtCpu = 1;                  // accelerator set: the processor alone
constexpr const char* kLiteRtCpuOptions = "xnnpack";  // whose options are a line of TOML

// X(name, result, arguments)
#define LITERT_FUNCTIONS(X)                                                                                        \
  X(LiteRtCreateEnvironment, int, (int count, const void* options, void** environment))                            \
  X(LiteRtCreateModelFromFile, int, (void* environment, const char* path, void** model))                           \
  X(LiteRtGetNumModelSignatures, int, (void* model, size_t* count))                                                \
  X(LiteRtGetModelSignature, int, (void* model, size_t index, void** signature))                                   \
  X(LiteRtGetSignatureKey, int, (void* signature, const char** key))                                               \
  X(LiteRtGetNumSignatureInputs, int, (void* signature, size_t* count))                                            \
  X(LiteRtGetSignatureInputName, int, (void* signature, size_t index, const char** name))                          \
  X(LiteRtGetSignatureInputTensorByIndex, int, (void* signature, size_t index, void** tensor))                     \
  X(LiteRtGetNumSignatureOutputs, int, (void* signature, size_t* count))                                           \
  X(LiteRtGetSignatureOutputName, int, (void* signature, size_t index, const char** name))                         \
  X(LiteRtGetSignatureOutputTensorByIndex, int, (void* signature, size_t index, void** tensor))                    \
  X(LiteRtGetRankedTensorType, int, (void* tensor, LiteRtType* type))                                              \
  X(LiteRtCreateOptions, int, (void** options))                                                                    \
  X(LiteRtSetOptionsHardwareAccelerators, int, (void* options, int accelerators))                                  \
  X(LiteRtCreateOpaqueOptions, int, (const char* key, void* data, void (*release)(void*), void** options))         \
  X(LiteRtAddOpaqueOptions, int, (void* options, void* opaque))                                                    \
  X(LiteRtCreateCompiledModel, int, (void* environment, void* model, void* options, void** compiled))              \
  X(LiteRtCreateTensorBufferFromHostMemory, int,                                                                   \
    (const LiteRtType* type, void* memory, size_t bytes, void (*release)(void*), void** buffer))                   \
  X(LiteRtRunCompiledModel, int,                                                                                   \
    (void* compiled, size_t signature, size_t input_count, void** inputs, size_t output_count, void** outputs))    \
  X(LiteRtDestroyTensorBuffer, void, (void* buffer))
