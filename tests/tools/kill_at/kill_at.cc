// Loaded into a program (LD_PRELOAD), ends it as a power cut would, where DALLE1_KILL_AT says:
//   writing:PREFIX   half of what it writes into the temporary file of PREFIX* is written
//   renamed:PREFIX   a file has just been given a name PREFIX*
#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

bool is_moment(std::string_view kind, std::string_view path) {
  const char* text = std::getenv("DALLE1_KILL_AT");
  const std::string_view moment = text ? text : "";
  const auto file = path.substr(path.rfind('/') + 1);
  return moment.starts_with(kind) && file.starts_with(moment.substr(kind.size()));
}

std::string path_of(int file) {
  char path[4096];
  const auto size = readlink(("/proc/self/fd/" + std::to_string(file)).c_str(), path, sizeof path);
  return {path, static_cast<size_t>(size < 0 ? 0 : size)};
}

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t write(int file, const void* data, size_t size) {
  static const auto real = next<decltype(&write)>("write");
  if (!is_moment("writing:", path_of(file))) return real(file, data, size);
  real(file, data, size / 2);
  raise(SIGKILL);
  return -1;
}

int rename(const char* from, const char* to) noexcept {
  static const auto real = next<decltype(&rename)>("rename");
  const int result = real(from, to);
  if (is_moment("renamed:", to)) raise(SIGKILL);
  return result;
}
}
