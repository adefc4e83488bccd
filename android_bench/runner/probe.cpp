// probe: the machine as a program sees it, as one line of JSON on stdout. Linked statically: it needs no library.
#include <sys/auxv.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "json.hpp"
#include "machine.hpp"

namespace {

#ifdef __aarch64__
// Bits of the kernel's HWCAP and HWCAP2 (arch/arm64/include/uapi/asm/hwcap.h).
constexpr std::pair<const char*, int> kFirst[] = {{"asimd", 1}, {"asimdhp", 10}, {"asimddp", 20}, {"sve", 22}};
constexpr std::pair<const char*, int> kSecond[] = {{"sve2", 1}, {"i8mm", 13}, {"bf16", 14}, {"sme", 23}};
#endif

void write_hwcap(Writer& json) {
  json.key("hwcap").open('[');
#ifdef __aarch64__
  for (const auto& [name, bit] : kFirst)
    if (getauxval(AT_HWCAP) >> bit & 1) json.value(name);
  for (const auto& [name, bit] : kSecond)
    if (getauxval(AT_HWCAP2) >> bit & 1) json.value(name);
#endif
  json.close(']');
}

// Implementer and part of every core, in the order of /proc/cpuinfo.
std::map<int, std::string> parts() {
  std::map<int, std::string> found;
  FILE* file = std::fopen("/proc/cpuinfo", "r");
  if (file == nullptr) return found;
  char line[1024];
  int core = -1;
  while (std::fgets(line, sizeof line, file) != nullptr) {
    const std::string text = line;
    const size_t colon = text.find(": ");
    if (colon == std::string::npos) continue;
    const std::string value = text.substr(colon + 2, text.find_last_not_of(" \n") - colon - 1);
    if (text.compare(0, 9, "processor") == 0) core = std::atoi(value.c_str());
    if (text.compare(0, 15, "CPU implementer") == 0) found[core] = value;
    if (text.compare(0, 8, "CPU part") == 0) found[core] += "/" + value;
  }
  std::fclose(file);
  return found;
}

int64_t khz(int core, const char* name) {
  return std::atoll(
      first_line("/sys/devices/system/cpu/cpu" + std::to_string(core) + "/cpufreq/" + name).c_str());
}

}  // namespace

int main() {
  utsname system{};
  uname(&system);
  struct sysinfo memory{};
  sysinfo(&memory);
  Writer json;
  json.open('{').key("schema_version").value(1).key("machine").value(system.machine);
  json.key("kernel").value(std::string(system.sysname) + " " + system.release + " " + system.version);
  json.key("page_bytes").value(static_cast<int64_t>(sysconf(_SC_PAGESIZE)));
  json.key("memory_bytes").value(static_cast<int64_t>(memory.totalram) * memory.mem_unit);
  write_hwcap(json);
  json.key("cores").open('[');
  const auto named = parts();
  for (const int core : all_cores()) {
    const auto part = named.find(core);
    json.open('{').key("number").value(core).key("part").value(part == named.end() ? "" : part->second);
    json.key("max_khz").value(khz(core, "cpuinfo_max_freq")).key("min_khz").value(khz(core, "cpuinfo_min_freq"));
    json.close('}');
  }
  json.close(']').key("emulated").value(is_emulated()).close('}');
  std::printf("%s\n", json.text().c_str());
  return 0;
}
