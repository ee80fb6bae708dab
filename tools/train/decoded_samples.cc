#include "tools/train/decoded_samples.h"

#include <algorithm>

#include "core/error.h"

namespace dalle1::tools {
namespace {

PairReaderOptions silent(PairReaderOptions options) {
  options.max_bad = 1;
  options.on_bad = {};
  return options;
}

}  // namespace

DecodedSamples::DecodedSamples(PairReader& reader, std::shared_ptr<const PairSource> pairs,
                               PairReaderOptions options, int threads)
    : reader_(reader), ahead_(std::move(pairs), silent(std::move(options))), threads_(threads) {}

std::optional<Sample> DecodedSamples::read(uint64_t index) {
  if (index < begin_ || index >= begin_ + samples_.size()) decode(index);
  std::optional<Sample> sample = std::move(samples_[index - begin_]);
  // What is broken the reader meets, counts and names in its turn.
  return sample ? std::move(sample) : reader_.read(index);
}

void DecodedSamples::decode(uint64_t begin) {
  constexpr uint64_t kEach = 2;
  begin_ = begin;
  samples_.clear();
  samples_.resize(std::min(kEach * static_cast<uint64_t>(threads_), reader_.size() - begin));
  on_threads(threads_, samples_.size(), [&](size_t i) {
    try {
      samples_[i] = ahead_.read(begin + i);
    } catch (const Error& error) {  // even if every picture is broken
      if (error.kind() != ErrorKind::input) throw;
    }
  });
}

}  // namespace dalle1::tools
