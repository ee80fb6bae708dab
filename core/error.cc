#include "core/error.h"

namespace dalle1 {
namespace {

std::string with_options(std::string_view marked, Error::Spelling spelling) {
  std::string text;
  while (true) {
    const size_t begin = marked.find(kOptionBegins), end = marked.find(kOptionEnds, begin);
    if (begin == marked.npos || end == marked.npos) return text.append(marked);
    text.append(marked.substr(0, begin)).append(spelling(marked.substr(begin + 1, end - begin - 1)));
    marked.remove_prefix(end + 1);
  }
}

}  // namespace

Error::Error(ErrorKind kind, const std::string& message)
    : std::runtime_error(with_options(message, [](std::string_view name) { return std::string(name); })),
      kind_(kind),
      marked_(message) {}

std::string Error::spelled(Spelling spelling) const { return with_options(marked_, spelling); }

}  // namespace dalle1
