// Bodies of type multipart/form-data (RFC 7578): the form in which pictures are sent.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dalle1::serve {

struct FormPart {
  std::string name;
  std::string_view content;  ///< Of the body that was parsed.
};

/// The parts in their order. ApiError(400) for what is not such a body, and for more than `most` parts.
std::vector<FormPart> parse_form(std::string_view body, std::string_view content_type, size_t most);

}  // namespace dalle1::serve
