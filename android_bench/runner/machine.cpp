#include "machine.hpp"

#include <dirent.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "error.hpp"

namespace {

// Another folder for the whole system, by which a test brings sensors of its own.
#ifndef SYSTEM_ROOT
#define SYSTEM_ROOT ""
#endif
const std::string kThermal = SYSTEM_ROOT "/sys/class/thermal/", kCpus = SYSTEM_ROOT "/sys/devices/system/cpu/";

std::vector<std::string> entries(const std::string& folder, const std::string& prefix) {
  std::vector<std::string> found;
  DIR* opened = opendir(folder.c_str());
  if (opened == nullptr) return found;
  while (const dirent* entry = readdir(opened)) {
    const std::string name = entry->d_name;
    if (name.compare(0, prefix.size(), prefix) == 0 && name.size() > prefix.size() &&
        name.find_first_not_of("0123456789", prefix.size()) == std::string::npos)
      found.push_back(name);
  }
  closedir(opened);
  std::sort(found.begin(), found.end());
  return found;
}

bool number_in(const std::string& path, double& value) {
  const std::string text = first_line(path);
  char* end = nullptr;
  value = std::strtod(text.c_str(), &end);
  return !text.empty() && end != text.c_str() && std::isfinite(value);
}

// Zones say thousandths of a degree; a few say degrees.
double celsius(double number) { return std::fabs(number) >= 1000 ? number / 1000.0 : number; }

// A zone's name as text that a result may hold, whatever bytes a vendor wrote.
std::string printable(std::string name) {
  for (char& letter : name)
    if (letter < ' ' || letter > '~') letter = '?';
  return name;
}

}  // namespace

int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

std::string first_line(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "r");
  if (file == nullptr) return "";
  char line[512] = "";
  if (std::fgets(line, sizeof line, file) == nullptr) line[0] = '\0';
  std::fclose(file);
  std::string text = line;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

// qemu's user mode shows the program its own maps and command line, but the process keeps the emulator's name.
bool is_emulated() { return first_line("/proc/self/comm").compare(0, 5, "qemu-") == 0; }

// Not getrusage's figure: that one outlives exec and may be the starter's.
int64_t peak_rss_bytes() {
  FILE* file = std::fopen("/proc/self/status", "r");
  if (file == nullptr) return -1;
  char line[256];
  long kibibytes = -1;
  while (kibibytes < 0 && std::fgets(line, sizeof line, file) != nullptr)
    if (std::strncmp(line, "VmHWM:", 6) == 0) kibibytes = std::strtol(line + 6, nullptr, 10);
  std::fclose(file);
  return kibibytes < 0 ? -1 : int64_t{kibibytes} * 1024;
}

std::vector<int> all_cores() {
  std::vector<int> found;
  for (const auto& name : entries(kCpus, "cpu")) found.push_back(std::atoi(name.c_str() + 3));
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> found;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return found;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) found.push_back(core);
  return found;
}

void bind_to(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::string list;
  for (const int core : cores) {
    if (core < CPU_SETSIZE) CPU_SET(core, &set);
    list += (list.empty() ? "" : ",") + std::to_string(core);
  }
  if (sched_setaffinity(0, sizeof set, &set) != 0)
    throw Error("cannot run on cores " + list + ": " + std::strerror(errno) + ". Choose others, or none.");
}

Reading read_sensors(double seconds) {
  Reading reading;
  reading.seconds = seconds;
  for (const auto& zone : entries(kThermal, "thermal_zone")) {
    double number = 0;
    if (!number_in(kThermal + zone + "/temp", number)) continue;
    std::string type = printable(first_line(kThermal + zone + "/type"));
    if (type.empty() || reading.zones.count(type)) type += (type.empty() ? "" : " ") + zone.substr(12);
    reading.zones[type] = celsius(number);
  }
  for (const int core : all_cores()) {
    double kilohertz = 0;
    if (number_in(kCpus + "cpu" + std::to_string(core) + "/cpufreq/scaling_cur_freq", kilohertz))
      reading.clocks[std::to_string(core)] = kilohertz / 1000.0;
  }
  return reading;
}
