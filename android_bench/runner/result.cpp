#include <cerrno>
#include <cstdio>
#include <cstring>

#include "error.hpp"
#include "json.hpp"
#include "measure.hpp"

namespace {

void write_readings(Writer& json, const std::vector<Reading>& readings) {
  json.key("readings").open('[');
  for (const auto& reading : readings) {
    if (reading.zones.empty() && reading.clocks.empty()) continue;
    json.open('{').key("seconds").value(reading.seconds).key("zones").open('{');
    for (const auto& [zone, celsius] : reading.zones) json.key(zone).value(celsius);
    json.close('}').key("clocks").open('{');
    for (const auto& [core, megahertz] : reading.clocks) json.key(core).value(megahertz);
    json.close('}').close('}');
  }
  json.close(']');
}

void write_times(Writer& json, const Result& result, bool is_done) {
  json.key("samples_ns").open('[');
  for (const int64_t sample : result.samples_ns) json.value(sample);
  json.close(']');
  if (is_done) json.key("load_ns").value(result.load_ns).key("first_ns").value(result.first_ns);
  const int64_t peak = peak_rss_bytes();
  if (peak >= 0) json.key("peak_rss_bytes").value(peak);
  write_readings(json, result.readings);
}

void write_outputs(Writer& json, const Request& request, const std::vector<Output>& outputs) {
  json.key("outputs").open('[');
  for (const auto& output : outputs) {
    json.open('{').key("input").value(static_cast<int64_t>(output.input));
    json.key("name").value(output.tensor.name).key("dtype").value(output.tensor.dtype).key("shape").open('[');
    for (const int64_t size : output.tensor.shape) json.value(size);
    json.close(']').key("file").value(request.outputs).key("offset").value(output.offset).close('}');
  }
  json.close(']');
}

template <typename T>
void write_list(Writer& json, const char* key, const std::vector<T>& numbers) {
  json.key(key).open('[');
  for (const auto number : numbers) json.value(static_cast<int64_t>(number));
  json.close(']');
}

}  // namespace

void write_result(const std::string& path, const Request& request, const Result& result, const std::string& error) {
  // Emulated time is no time: whatever the asker took this machine for, it gets none.
  const std::string source = result.is_emulated || request.source == "qemu" ? "qemu" : request.source;
  Writer json;
  json.open('{').key("schema_version").value(1).key("id").value(request.id);
  json.key("status").value(error.empty() ? "done" : "failed").key("error").value(error).key("source").value(source);
  json.key("runtime").value(request.runtime).key("runtime_version").value(result.runtime_version);
  json.key("runtime_build").value(request.runtime_build).key("threads").value(request.threads);
  write_list(json, "cores", result.cores);
  json.key("warm_up_runs").value(result.warm_up_runs).key("runs").value(result.runs);
  if (source != "qemu") write_times(json, result, error.empty());
  write_list(json, "layers", result.layers);
  write_outputs(json, request, result.outputs);
  json.close('}');
  const std::string part = path + ".part", text = json.text() + "\n";
  FILE* file = std::fopen(part.c_str(), "wb");
  if (file == nullptr) throw Error("cannot write '" + path + "': " + std::strerror(errno) + ".");
  const bool is_written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !is_written || std::rename(part.c_str(), path.c_str()) != 0)
    throw Error("cannot write '" + path + "': " + std::strerror(errno) + ".");
}
