#include "measure.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "error.hpp"
#include "json.hpp"
#include "model.hpp"

namespace {

constexpr double kSecond = 1e9;
constexpr int64_t kBetweenLines = 1000000000;
// System calls that no kernel has: they only tell an emulator's counter where an inference begins and ends.
constexpr long kMarkBegin = 5001, kMarkEnd = 5002;

class Progress {
 public:
  void tell(const char* phase, int64_t runs, int64_t spent_ns, bool is_last = false) {
    const int64_t now = now_ns();
    if (!is_last && now - told_ < kBetweenLines) return;
    told_ = now;
    Writer line;
    line.open('{').key("phase").value(phase).key("runs").value(runs).key("seconds").value(spent_ns / kSecond).close('}');
    std::fprintf(stderr, "%s\n", line.text().c_str());
  }

 private:
  int64_t told_ = 0;
};

int64_t timed(const Model& model, const InputSet& inputs) {
  const int64_t started = now_ns();
  model.answer(inputs);
  return now_ns() - started;
}

void write_outputs(const Request& request, const Model& model, Result& result, Progress& progress) {
  const std::string path = request.folder + request.outputs;
  FILE* file = request.outputs.empty() ? nullptr : std::fopen(path.c_str(), "wb");
  if (!request.outputs.empty() && file == nullptr)
    throw Error("cannot write '" + request.outputs + "': " + std::strerror(errno) + ".");
  int64_t offset = 0;
  bool is_written = true;
  const int64_t started = now_ns();
  for (size_t number = 0; number < request.inputs.size(); ++number) {
    Answer answer = model.answer(request.inputs[number]);
    if (answer.layers > 0) result.layers.push_back(answer.layers);
    for (auto& output : answer.outputs) {
      if (file == nullptr) continue;
      is_written &= std::fwrite(output.bytes.data(), 1, output.bytes.size(), file) == output.bytes.size();
      const int64_t size = static_cast<int64_t>(output.bytes.size());
      output.bytes.clear();
      result.outputs.push_back({number, std::move(output), offset});
      offset += size;
    }
    progress.tell("outputs", static_cast<int64_t>(number) + 1, now_ns() - started);
  }
  if (file != nullptr && (std::fclose(file) != 0 || !is_written))
    throw Error("cannot write '" + request.outputs + "': " + std::strerror(errno) + ".");
}

void measured(const Request& request, const Model& model, Result& result, int64_t began, Progress& progress) {
  int64_t spent = 0, read = now_ns();
  const auto is_met = [&] { return result.runs >= request.min_runs && spent >= request.min_seconds * kSecond; };
  while (!is_met() && (request.max_seconds == 0 || spent < request.max_seconds * kSecond)) {
    const InputSet& inputs = request.inputs[static_cast<size_t>(result.runs) % request.inputs.size()];
    if (request.marks) syscall(kMarkBegin);
    const int64_t taken = timed(model, inputs);
    if (request.marks) syscall(kMarkEnd);
    spent += taken;
    ++result.runs;
    result.samples_ns.push_back(taken);
    progress.tell("measure", result.runs, spent);
    if (request.sensor_seconds > 0 && now_ns() - read > request.sensor_seconds * kSecond) {
      result.readings.push_back(read_sensors((now_ns() - began) / kSecond));
      read = now_ns();
    }
  }
  progress.tell("measure", result.runs, spent, true);
}

}  // namespace

void measure(const Request& request, Result& result) {
  const int64_t began = now_ns();
  result.is_emulated = is_emulated();
  if (request.marks && !result.is_emulated && request.source == "phone") throw Error("a phone takes no marks.");
  if (!request.cores.empty()) bind_to(request.cores);
  result.cores = usable_cores();
  Progress progress;
  progress.tell("load", 0, 0, true);
  const int threads = static_cast<int>(request.threads);
  const auto runtime =
      request.runtime == "onnx" ? load_onnx(request.library, threads) : load_litert(request.library, threads);
  result.runtime_version = runtime->version();
  const int64_t linked = now_ns();  // an app links its runtime: that is no part of the load time
  const Model model(request, *runtime);
  result.load_ns = now_ns() - linked;
  result.first_ns = timed(model, request.inputs[0]);
  result.readings.push_back(read_sensors((now_ns() - began) / kSecond));
  const int64_t started = now_ns();
  while (result.warm_up_runs < request.warm_up_runs || now_ns() - started < request.warm_up_seconds * kSecond) {
    model.answer(request.inputs[static_cast<size_t>(result.warm_up_runs++) % request.inputs.size()]);
    progress.tell("warm_up", result.warm_up_runs, now_ns() - started);
  }
  if (!request.outputs.empty() || request.driver.kind == "cascade") write_outputs(request, model, result, progress);
  measured(request, model, result, began, progress);
  result.readings.push_back(read_sensors((now_ns() - began) / kSecond));
}
