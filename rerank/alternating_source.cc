#include <algorithm>

#include "core/error.h"
#include "rerank/transformer_source.h"

namespace dalle1::rerank {

AlternatingSource::AlternatingSource(std::vector<std::unique_ptr<CandidateSource>> sources)
    : sources_(std::move(sources)) {
  check(!sources_.empty(), ErrorKind::internal, "no sources to alternate between");
}

void AlternatingSource::prefill() {
  for (auto& source : sources_) source->prefill();
}

std::optional<Wave> AlternatingSource::sample(std::span<const uint32_t> candidates,
                                              const StepCallback& step) {
  const size_t count = candidates.size(), width = static_cast<size_t>(cells());
  Wave all;
  all.candidates.assign(candidates.begin(), candidates.end());
  all.tokens.resize(count * width);
  all.log_likelihood.resize(count);
  all.forced_log_likelihood.resize(count);
  all.forced.resize(count);
  size_t finished = 0;  // candidates of the sources before this one
  for (size_t s = 0; s < sources_.size(); ++s) {
    std::vector<uint32_t> own;
    std::vector<size_t> places;
    for (size_t i = 0; i < count; ++i)
      if (candidates[i] % sources_.size() == s) own.push_back(candidates[i]), places.push_back(i);
    if (own.empty()) continue;
    const auto wave = sources_[s]->sample(own, [&](int cells_done) {
      const size_t cells_of_all = finished * width + own.size() * static_cast<size_t>(cells_done);
      return step(static_cast<int>(cells_of_all / count));
    });
    if (!wave) return std::nullopt;
    for (size_t i = 0; i < own.size(); ++i) {
      const auto tokens = wave->tokens_of(i);
      std::copy(tokens.begin(), tokens.end(),
                all.tokens.begin() + static_cast<std::ptrdiff_t>(places[i] * width));
      all.log_likelihood[places[i]] = wave->log_likelihood[i];
      all.forced_log_likelihood[places[i]] = wave->forced_log_likelihood[i];
      all.forced[places[i]] = wave->forced[i];
    }
    finished += own.size();
  }
  return all;
}

}  // namespace dalle1::rerank
