// What the machine lets a program do and know: cores, heat, clocks, memory, and whether it is a machine at all.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

struct Reading {
  double seconds = 0;
  std::map<std::string, double> zones;   // degrees Celsius
  std::map<std::string, double> clocks;  // megahertz
};

int64_t now_ns();           // a clock that never runs backwards
bool is_emulated();         // under qemu's user mode: its times are no times
int64_t peak_rss_bytes();   // of this process; -1 where the system does not say
std::vector<int> usable_cores();
void bind_to(const std::vector<int>& cores);  // throws Error: the system does not let us
Reading read_sensors(double seconds);
std::string first_line(const std::string& path);  // empty where there is none
std::vector<int> all_cores();
