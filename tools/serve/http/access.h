// Who may ask: keys, and pages of other sites that a browser would let ask.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tools/serve/http/exchange.h"

namespace dalle1::serve {

class Access {
 public:
  /// Everybody who reaches the server; on a loopback address, while there are no keys, only under its own
  /// name: a name of another site that resolves to it will not do.
  explicit Access(bool loopback) : loopback_(loopback) {}
  /// One key a line, of at least 16 characters. Error(input) for another file.
  void read_keys(const std::filesystem::path& file);
  bool has_keys() const { return !sums_.empty(); }

  /// ApiError(403) for a request that a page of another site made, or that came under a name that is not this
  /// server's.
  void check_site(const Request& request) const;
  /// ApiError(401) unless the request shows a key, where there are any. A client is then known by its key.
  void check_key(Request& request) const;

 private:
  bool loopback_;
  std::vector<std::string> sums_;  // sha256 of the keys
};

}  // namespace dalle1::serve
