// What the person who asked can act on: printed as one line, exit code 2.
#pragma once

#include <stdexcept>
#include <string>

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
