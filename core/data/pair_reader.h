// Decoded pictures with captions in a deterministic order, past a bounded number of broken samples.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "core/data/pair_source.h"
#include "core/data/sample_order.h"
#include "core/image/image.h"

namespace dalle1 {

struct Sample {
  std::string key, caption;  ///< as in Pair
  Image image;               ///< as decoded: 1, 3 or 4 channels
};

/// What a reader makes of captions.
enum class Captions : uint8_t {
  ignored,   ///< They are not read.
  optional,  ///< A sample may be without one; one that cannot be read makes the sample a broken one.
  required   ///< A sample without one is broken, too.
};

struct PairReaderOptions {
  uint32_t rank = 0, world = 1;
  uint64_t seed = 0;
  bool shuffle = true;  ///< false: in the order of the source, for validation
  Captions captions = Captions::optional;
  /// The share of the source's samples that may be broken. Above 0 one broken sample is always allowed, so
  /// that a small set is not stopped by its first; at 0 none is.
  double max_bad = 0.001;
  /// Called once for each broken sample with one line that names it and says why.
  std::function<void(const std::string&)> on_bad = {};
};

class PairReader {
 public:
  PairReader(std::shared_ptr<const PairSource> source, PairReaderOptions options = {});

  uint64_t size() const { return order_.share(); }  ///< samples an epoch on this rank
  const SampleOrder& order() const { return order_; }

  /// The sample at a position (see SampleOrder), or nothing when it is broken. May be called from several
  /// threads at once. Error(input) once more samples are broken than `max_bad` allows.
  std::optional<Sample> read(uint64_t position);
  /// Its caption alone, empty when there is none; nothing when it cannot be read.
  std::optional<std::string> read_caption(uint64_t position);

  /// The next good sample, in order and on over the epochs; position() is where it continues. One thread.
  Sample next();
  uint64_t position() const { return position_; }
  void seek(uint64_t position) { position_ = position; }

  /// Different samples found broken so far.
  uint64_t bad_count() const;

 private:
  /// What `read` gives, or nothing when that finds the sample broken.
  template <typename Read>
  auto unless_broken(uint64_t index, const Read& read) -> std::optional<decltype(read())>;
  void count_bad(uint64_t index, const std::string& why);

  std::shared_ptr<const PairSource> source_;
  PairReaderOptions options_;
  SampleOrder order_;
  uint64_t allowed_bad_;
  uint64_t position_ = 0;
  mutable std::mutex mutex_;
  std::set<uint64_t> bad_;  // indices in the source
};

}  // namespace dalle1
