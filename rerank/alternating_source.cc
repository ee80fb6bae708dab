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

std::vector<size_t> AlternatingSource::places_of(size_t source) const {
  std::vector<size_t> places;
  for (size_t i = 0; i < candidates_.size(); ++i)
    if (candidates_[i] % sources_.size() == source) places.push_back(i);
  return places;
}

std::vector<int32_t> AlternatingSource::tokens_so_far() const {
  auto all = tokens_;
  const auto own = sources_[sampling_]->tokens_so_far();
  const auto places = places_of(sampling_);
  const auto width = static_cast<size_t>(cells());
  for (size_t i = 0; i < places.size(); ++i)
    std::copy_n(own.begin() + static_cast<std::ptrdiff_t>(i * width), width,
                all.begin() + static_cast<std::ptrdiff_t>(places[i] * width));
  return all;
}

std::optional<Wave> AlternatingSource::sample(std::span<const uint32_t> candidates,
                                              const StepCallback& step) {
  const size_t count = candidates.size(), width = static_cast<size_t>(cells());
  candidates_.assign(candidates.begin(), candidates.end());
  tokens_.assign(count * width, -1);
  Wave all;
  all.candidates = candidates_;
  all.log_likelihood.resize(count);
  all.forced_log_likelihood.resize(count);
  all.forced.resize(count);
  size_t finished = 0;  // candidates of the sources before this one
  for (sampling_ = 0; sampling_ < sources_.size(); ++sampling_) {
    const auto places = places_of(sampling_);
    if (places.empty()) continue;
    std::vector<uint32_t> own;
    for (const size_t place : places) own.push_back(candidates[place]);
    const auto wave = sources_[sampling_]->sample(own, [&](int cells_done) {
      const size_t cells_of_all = finished * width + own.size() * static_cast<size_t>(cells_done);
      return step(static_cast<int>(cells_of_all / count));
    });
    if (!wave) return std::nullopt;
    for (size_t i = 0; i < own.size(); ++i) {
      const auto tokens = wave->tokens_of(i);
      std::copy(tokens.begin(), tokens.end(),
                tokens_.begin() + static_cast<std::ptrdiff_t>(places[i] * width));
      all.log_likelihood[places[i]] = wave->log_likelihood[i];
      all.forced_log_likelihood[places[i]] = wave->forced_log_likelihood[i];
      all.forced[places[i]] = wave->forced[i];
    }
    finished += own.size();
  }
  all.tokens = std::move(tokens_);
  return all;
}

}  // namespace dalle1::rerank
