#include "rerank/run_cost.h"

#include <sys/resource.h>

#include <algorithm>

namespace dalle1::rerank {

RunCost operator+(const RunCost& a, const RunCost& b) {
  RunCost sum;
  sum.calls = a.calls + b.calls;
  sum.seconds = {a.seconds.prefill + b.seconds.prefill, a.seconds.sample + b.seconds.sample,
                 a.seconds.decode + b.seconds.decode, a.seconds.score + b.seconds.score,
                 a.seconds.write + b.seconds.write};
  sum.elapsed = a.elapsed + b.elapsed;
  sum.tokens = a.tokens + b.tokens;
  sum.peak_memory = std::max(a.peak_memory, b.peak_memory);
  return sum;
}

Json to_json(const RunCost& cost) {
  const auto& seconds = cost.seconds;
  return {{"calls", cost.calls},
          {"seconds",
           {{"prefill", seconds.prefill},
            {"sample", seconds.sample},
            {"decode", seconds.decode},
            {"score", seconds.score},
            {"write", seconds.write},
            {"total", cost.elapsed}}},
          {"tokens_sampled", cost.tokens},
          {"tokens_per_second", cost.tokens_per_second()},
          {"peak_memory_bytes", cost.peak_memory}};
}

RunCost cost_from_json(const Json& run) {
  const auto seconds = run.value("seconds", Json::object());
  RunCost cost;
  cost.calls = run.value("calls", seconds.empty() ? 0 : 1);
  cost.seconds = {seconds.value("prefill", 0.0), seconds.value("sample", 0.0), seconds.value("decode", 0.0),
                  seconds.value("score", 0.0), seconds.value("write", 0.0)};
  cost.elapsed = seconds.value("total", 0.0);
  cost.tokens = run.value("tokens_sampled", int64_t{0});
  cost.peak_memory = run.value("peak_memory_bytes", uint64_t{0});
  return cost;
}

uint64_t peak_resident_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace dalle1::rerank
