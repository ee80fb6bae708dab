#include "core/error.h"

namespace dalle1 {

std::string Error::spelled(const Spelling& spelling, std::string_view marked) {
  std::string text;
  for (size_t at = 0; at < marked.size();) {
    const size_t begin = marked.find(kOptionBegins, at);
    const size_t end = begin == marked.npos ? marked.npos : marked.find(kOptionEnds, begin);
    if (end == marked.npos) return text.append(marked.substr(at));
    text.append(marked.substr(at, begin - at)).append(spelling(marked.substr(begin + 1, end - begin - 1)));
    at = end + 1;
  }
  return text;
}

}  // namespace dalle1
