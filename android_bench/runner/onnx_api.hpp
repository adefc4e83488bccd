// The few slots of ONNX Runtime's C API that are used here, declared by ourselves.
//
// The API is one table of function pointers whose order never changes; a slot is its place in that table.
// tests/phones/test_runner.py calls every one of them in a real library and looks at what it does.
#pragma once

#include <cstddef>
#include <cstdint>

constexpr uint32_t kOrtVersion = 16;  // the least that has all slots: libraries from 1.16 on give this table

struct OrtBase {
  const void* const* (*api)(uint32_t version);
  const char* (*version)();
};

// X(name, slot, result, arguments)
#define ORT_SLOTS(X)                                                                                            \
  X(GetErrorMessage, 2, const char*, (const void* status))                                                      \
  X(CreateEnv, 3, void*, (int severity, const char* name, void** env))                                          \
  X(CreateSession, 7, void*, (const void* env, const char* path, const void* options, void** session))          \
  X(Run, 9, void*,                                                                                              \
    (void* session, const void* options, const char* const* input_names, const void* const* inputs,             \
     size_t input_count, const char* const* output_names, size_t output_count, void** outputs))                 \
  X(CreateSessionOptions, 10, void*, (void** options))                                                          \
  X(SetSessionLogSeverityLevel, 22, void*, (void* options, int severity))                                       \
  X(SetIntraOpNumThreads, 24, void*, (void* options, int threads))                                              \
  X(SetInterOpNumThreads, 25, void*, (void* options, int threads))                                              \
  X(SessionGetInputCount, 30, void*, (const void* session, size_t* count))                                      \
  X(SessionGetOutputCount, 31, void*, (const void* session, size_t* count))                                     \
  X(SessionGetInputTypeInfo, 33, void*, (const void* session, size_t index, void** info))                       \
  X(SessionGetInputName, 36, void*, (const void* session, size_t index, void* allocator, char** name))          \
  X(SessionGetOutputName, 37, void*, (const void* session, size_t index, void* allocator, char** name))         \
  X(CreateTensorWithDataAsOrtValue, 49, void*,                                                                  \
    (const void* memory, void* data, size_t bytes, const int64_t* shape, size_t rank, int type, void** value))  \
  X(GetTensorMutableData, 51, void*, (void* value, void** data))                                                \
  X(CastTypeInfoToTensorInfo, 55, void*, (const void* info, const void** tensor_info))                          \
  X(GetTensorElementType, 60, void*, (const void* tensor_info, int* type))                                      \
  X(GetDimensionsCount, 61, void*, (const void* tensor_info, size_t* rank))                                     \
  X(GetDimensions, 62, void*, (const void* tensor_info, int64_t* shape, size_t rank))                           \
  X(GetTensorTypeAndShape, 65, void*, (const void* value, void** tensor_info))                                  \
  X(CreateCpuMemoryInfo, 69, void*, (int allocator_type, int memory_type, void** memory))                       \
  X(AllocatorFree, 76, void*, (void* allocator, void* pointer))                                                 \
  X(GetAllocatorWithDefaultOptions, 78, void*, (void** allocator))                                              \
  X(ReleaseStatus, 93, void, (void* status))                                                                    \
  X(ReleaseSession, 95, void, (void* session))                                                                  \
  X(ReleaseValue, 96, void, (void* value))                                                                      \
  X(ReleaseTypeInfo, 98, void, (void* info))                                                                    \
  X(ReleaseTensorTypeAndShapeInfo, 99, void, (void* tensor_info))                                               \
  X(ReleaseSessionOptions, 100, void, (void* options))

struct OrtSlots {
#define X(name, slot, result, arguments) result(*name) arguments;
  ORT_SLOTS(X)
#undef X
  explicit OrtSlots(const void* const* table) {
#define X(name, slot, result, arguments) name = reinterpret_cast<result(*) arguments>(const_cast<void*>(table[slot]));
    ORT_SLOTS(X)
#undef X
  }
};
