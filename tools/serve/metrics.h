// Figures for Prometheus, in its text format 0.0.4.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "tools/serve/drawing.h"
#include "tools/serve/http/http_server.h"

namespace dalle1::serve {

class Metrics {
 public:
  /// `path`: one of few, as labels must be.
  void count(const Answered& answered, const std::string& path);
  std::string text(const DrawingTotals& totals) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, uint64_t> requests_;  // by path and status
  double seconds_ = 0;
};

}  // namespace dalle1::serve
