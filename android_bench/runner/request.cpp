#include "request.hpp"

#include <cstdio>
#include <cstring>
#include <cerrno>

#include "error.hpp"

namespace {

constexpr int64_t kMostBytes = int64_t{1} << 31;

std::string text_or(const Json& json, const std::string& otherwise) { return json.is_null() ? otherwise : json.text(); }

double seconds(const Json& json) {
  const double value = json.number();
  if (value < 0) throw Error("seconds must not be negative.");
  return value;
}

int64_t count(const Json& json, int64_t least, const char* name) {
  const int64_t value = json.integer();
  if (value < least) throw Error(std::string("'") + name + "' must be at least " + std::to_string(least) + ".");
  return value;
}

std::string one_of(const Json& json, const std::vector<std::string>& known) {
  std::string all;
  for (const auto& name : known) {
    if (json.text() == name) return name;
    all += (all.empty() ? "" : ", ") + name;
  }
  throw Error("'" + json.text() + "' is not one of: " + all + ".");
}

std::vector<std::string> names(const Json& json) {
  std::vector<std::string> found;
  for (const auto& one : json.list()) found.push_back(one.text());
  return found;
}

std::vector<Port> ports(const Json& json) {
  std::vector<Port> found;
  for (const auto& one : json.list()) found.push_back({one.at("name").text(), one.at("dtype").text()});
  return found;
}

// Nothing a request names may lie outside its folder.
std::string below(const Json& json) {
  const std::string& name = json.text();
  if (name.empty() || name[0] == '/' || ("/" + name + "/").find("/../") != std::string::npos ||
      name.find('\0') != std::string::npos)
    throw Error("'" + name + "' is not a path below the request's folder.");
  return name;
}

GraphSpec graph(const Json& json) {
  GraphSpec spec;
  spec.name = json.at("name").text();
  spec.file = below(json.at("file"));
  spec.signature = text_or(json.get("signature"), "");
  spec.length = json.get("length").is_null() ? 0 : count(json.get("length"), 1, "length");
  spec.shortest = json.get("shortest").is_null() ? 1 : count(json.get("shortest"), 1, "shortest");
  spec.inputs = ports(json.at("inputs"));
  spec.outputs = ports(json.at("outputs"));
  return spec;
}

DriverSpec driver(const Json& json) {
  DriverSpec spec;
  spec.kind = one_of(json.at("kind"), {"single", "buckets", "heads", "cascade"});
  if (spec.kind == "single") {
    spec.graphs = {json.at("graph").text()};
  } else if (spec.kind != "cascade") {
    spec.graphs = names(json.at("graphs"));
  } else {
    for (const auto& one : json.at("exits").list())
      spec.exits.push_back(
          {names(one.at("graphs")), text_or(one.get("output"), "logits"), one.at("threshold").number()});
    spec.carry_output = json.at("carry").at("output").text();
    spec.carry_input = json.at("carry").at("input").text();
    spec.asks_all = !json.get("asks_all").is_null() && json.get("asks_all").boolean();
    if (spec.exits.empty()) throw Error("'driver.exits' is empty.");
  }
  return spec;
}

Tensor array(const Json& json, const std::string& folder) {
  Tensor tensor{json.at("name").text(), json.at("dtype").text(), {}, {}};
  for (const auto& size : json.at("shape").list()) tensor.shape.push_back(count(size, 0, "shape"));
  const std::string file = below(json.at("file"));
  const int64_t offset = json.get("offset").is_null() ? 0 : count(json.get("offset"), 0, "offset");
  const size_t size = bytes_of(tensor.dtype, tensor.shape);
  FILE* source = std::fopen((folder + file).c_str(), "rb");
  if (source == nullptr) throw Error("cannot read '" + file + "': " + std::strerror(errno) + ".");
  tensor.bytes.resize(size);
  const bool is_whole = std::fseek(source, static_cast<long>(offset), SEEK_SET) == 0 &&
                        std::fread(tensor.bytes.data(), 1, size, source) == size;
  std::fclose(source);
  if (!is_whole)
    throw Error("'" + file + "' is too short: '" + tensor.name + "' takes " + std::to_string(size) +
                " bytes from byte " + std::to_string(offset) + ".");
  return tensor;
}

}  // namespace

size_t dtype_bytes(const std::string& dtype) {
  if (dtype == "int64") return 8;
  if (dtype == "float32" || dtype == "int32") return 4;
  if (dtype == "float16") return 2;
  if (dtype == "int8" || dtype == "uint8" || dtype == "bool") return 1;
  throw Error("'" + dtype + "' is no type of an array. There are: float32, float16, int64, int32, int8, uint8, bool.");
}

size_t bytes_of(const std::string& dtype, const std::vector<int64_t>& shape) {
  int64_t size = static_cast<int64_t>(dtype_bytes(dtype));
  for (const int64_t one : shape) {
    if (one != 0 && size > kMostBytes / one) throw Error("an array of more than 2 GB.");
    size *= one;
  }
  return static_cast<size_t>(size);
}

std::string read_file(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw Error("cannot read '" + path + "': " + std::strerror(errno) + ".");
  std::string text;
  char part[65536];
  for (size_t size; (size = std::fread(part, 1, sizeof part, file)) > 0;) text.append(part, size);
  std::fclose(file);
  return text;
}

void read_request(const std::string& path, Request& request) {
  const size_t slash = path.rfind('/');
  request.folder = slash == std::string::npos ? "./" : path.substr(0, slash + 1);
  const Json json = Json::parse(read_file(path));
  request.id = json.at("id").text();
  if (!json.get("schema_version").is_null() && json.get("schema_version").integer() != 1)
    throw Error("the request has schema version " + std::to_string(json.get("schema_version").integer()) +
                "; this runner reads 1. Use the runner of the same edgedistill.");
  request.source = one_of(json.at("source"), {"phone", "qemu", "host"});
  request.runtime = one_of(json.at("runtime"), {"onnx", "tflite"});
  if (!json.get("runtime_build").is_null())
    request.runtime_build = one_of(json.get("runtime_build"), {"glibc-wheel", "aar"});
  request.threads = json.get("threads").is_null() ? 1 : count(json.get("threads"), 1, "threads");
  request.library = json.at("library").text();
  if (request.library.empty() || request.library[0] != '/') request.library = request.folder + below(json.at("library"));
  for (const auto& one : json.at("graphs").list()) request.graphs.push_back(graph(one));
  request.driver = driver(json.at("driver"));
  if (!json.get("cores").is_null())
    for (const auto& core : json.get("cores").list()) request.cores.push_back(static_cast<int>(count(core, 0, "cores")));
  request.warm_up_runs = count(json.at("warm_up_runs"), 0, "warm_up_runs");
  request.min_runs = count(json.at("min_runs"), 0, "min_runs");
  request.warm_up_seconds = seconds(json.at("warm_up_seconds"));
  request.min_seconds = seconds(json.at("min_seconds"));
  request.max_seconds = seconds(json.at("max_seconds"));
  if (!json.get("sensor_seconds").is_null()) request.sensor_seconds = seconds(json.get("sensor_seconds"));
  if (!json.get("outputs").is_null()) request.outputs = below(json.get("outputs"));
  request.marks = !json.get("marks").is_null() && json.get("marks").boolean();
  for (const auto& set : json.at("inputs").list()) {
    InputSet arrays;
    for (const auto& one : set.at("arrays").list()) arrays.push_back(array(one, request.folder));
    request.inputs.push_back(std::move(arrays));
  }
  if (request.inputs.empty()) throw Error("'inputs' is empty: nothing to run the model on.");
}
