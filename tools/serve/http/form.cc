#include "tools/serve/http/form.h"

#include <algorithm>
#include <cctype>

#include "tools/serve/http/api_error.h"

namespace dalle1::serve {
namespace {

constexpr size_t kMostHeadBytes = 4096;

[[noreturn]] void refuse(const std::string& what) { throw ApiError(400, "not a multipart form: " + what); }

bool equal_but_for_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// The value of `name` in "form-data; name=\"x\"; filename=y", without its quotes; npos-free: empty when
// absent.
std::string parameter(std::string_view header, std::string_view name) {
  for (size_t at = header.find(';'); at != header.npos;) {
    at = header.find_first_not_of(" \t", at + 1);
    if (at == header.npos) break;
    const size_t equals = header.find('=', at);
    if (equals == header.npos) break;
    const bool wanted = equal_but_for_case(header.substr(at, equals - at), name);
    std::string value;
    size_t end = equals + 1;
    if (end < header.size() && header[end] == '"') {
      for (++end; end < header.size() && header[end] != '"'; ++end) {
        if (header[end] == '\\' && end + 1 < header.size()) ++end;
        value += header[end];
      }
      at = header.find(';', end);
    } else {
      at = header.find(';', end);
      value = header.substr(end, at == header.npos ? at : at - end);
      while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.pop_back();
    }
    if (wanted) return value;
  }
  return {};
}

// The name that a part's head gives.
std::string name_of_part(std::string_view head) {
  while (!head.empty()) {
    const size_t end = std::min(head.find("\r\n"), head.size());
    const auto line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    const size_t colon = line.find(':');
    if (colon == line.npos) refuse("a part's header line has no colon");
    if (!equal_but_for_case(line.substr(0, colon), "content-disposition")) continue;
    auto name = parameter(line, "name");
    if (name.empty()) refuse("a part has no name");
    return name;
  }
  refuse("a part has no content-disposition");
}

}  // namespace

std::vector<FormPart> parse_form(std::string_view body, std::string_view content_type, size_t most) {
  const auto boundary = parameter(content_type, "boundary");
  if (boundary.empty() || boundary.size() > 70)
    refuse("its content type names no boundary of 1 to 70 characters");
  const std::string opening = "--" + boundary, delimiter = "\r\n" + opening;
  size_t at = 0;
  if (!body.starts_with(opening)) {
    at = body.find(delimiter);
    if (at == body.npos) refuse("its boundary does not occur");
    at += 2;
  }
  std::vector<FormPart> parts;
  for (at += opening.size(); !body.substr(at).starts_with("--");) {
    at = body.find_first_not_of(" \t", at);
    if (at == body.npos || !body.substr(at).starts_with("\r\n"))
      refuse("a boundary is not followed by a line break");
    at += 2;
    const size_t head_end = body.substr(at, kMostHeadBytes).find("\r\n\r\n");
    if (head_end == body.npos) refuse("a part has no end of its header, or too long a one");
    const size_t begin = at + head_end + 4;
    const size_t end = body.find(delimiter, begin);
    if (end == body.npos) refuse("the last boundary is missing");
    if (parts.size() == most) refuse("it has more than " + std::to_string(most) + " parts");
    parts.push_back({name_of_part(body.substr(at, head_end)), body.substr(begin, end - begin)});
    at = end + delimiter.size();
  }
  return parts;
}

}  // namespace dalle1::serve
