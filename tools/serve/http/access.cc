#include "tools/serve/http/access.h"

#include <algorithm>
#include <span>

#include "core/error.h"
#include "core/io/text_file.h"
#include "tools/serve/http/api_error.h"
#include "weights/sha256.h"

namespace dalle1::serve {
namespace {

constexpr size_t kLeastKey = 16;

std::string sum_of(std::string_view text) { return weights::sha256(std::as_bytes(std::span(text))); }

// Takes as long wherever they differ; sums of keys have one length.
bool equal_in_constant_time(std::string_view a, std::string_view b) {
  unsigned difference = a.size() != b.size();
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return difference == 0;
}

// "localhost" of "localhost:8080", "[::1]" of "[::1]:8080".
std::string_view name_of_host(std::string_view host) {
  const size_t bracket = host.find(']');
  const size_t colon = host.find(':', bracket == host.npos ? 0 : bracket);
  return host.substr(0, colon);
}

}  // namespace

void Access::read_keys(const std::filesystem::path& file) {
  TextLines lines(file.string());
  for (std::string line; lines.next(line);) {
    if (is_blank(line)) continue;
    check(line.size() >= kLeastKey && line.find_first_of(" \t") == line.npos, ErrorKind::input,
          "{}: a key has at least {} characters and no spaces", lines.where(), kLeastKey);
    sums_.push_back(sum_of(line));
  }
  check(has_keys(), ErrorKind::input, "{}: no keys in it; write one a line", file.string());
}

void Access::check_site(const Request& request) const {
  const auto name = name_of_host(request.host);
  const bool own_name = name == "localhost" || name == "[::1]" || name.starts_with("127.");
  if (loopback_ && !has_keys() && !own_name)
    throw ApiError(403, "this server answers to localhost and 127.0.0.1 only");
  if (!request.origin.empty() && request.origin != "http://" + request.host &&
      request.origin != "https://" + request.host)
    throw ApiError(403, "pages of other sites may not ask this server");
}

void Access::check_key(Request& request) const {
  if (!has_keys()) return;
  const std::string_view scheme = "Bearer ";
  const auto shown = request.authorization.starts_with(scheme)
                         ? sum_of(std::string_view(request.authorization).substr(scheme.size()))
                         : std::string();
  size_t number = sums_.size();
  for (size_t i = 0; i < sums_.size(); ++i)  // all of them, whichever it is
    if (equal_in_constant_time(shown, sums_[i])) number = i;
  if (number == sums_.size())
    throw ApiError(401, "a key is needed: send 'Authorization: Bearer KEY'", "", "invalid_api_key");
  request.client = "key " + std::to_string(number);
}

}  // namespace dalle1::serve
