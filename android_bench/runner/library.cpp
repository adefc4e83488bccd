#include <dlfcn.h>

#include "error.hpp"
#include "session.hpp"

void* open_library(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw Error("cannot load the runtime's library: " + std::string(dlerror()) + ".");
  return library;
}

void* symbol(void* library, const std::string& path, const char* name) {
  void* found = dlsym(library, name);
  if (found == nullptr) throw Error("'" + path + "' has no '" + name + "': it is not the library this runner knows.");
  return found;
}
