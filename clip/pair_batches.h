// Training batches of pictures, captions and captions that are wrong, a function of (seed, batch number).
#pragma once

#include <future>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "clip/word_classes.h"
#include "core/data/pair_reader.h"

namespace dalle1::clip {

struct BatchOptions {
  int64_t batch = 64;
  int64_t near_misses = 3;    ///< Wrong captions of each picture, at most; needs word classes.
  float kind_share = 0.5f;    ///< Part of the batch whose captions are of one kind (WordClasses::kind_of).
  float least_crop = 0.92f;   ///< Side of the random crops; they are enlarged back to the resolution.
  float soften_share = 0.0f;  ///< Part of the pictures that are blurred and tinted by cells, which is how a
                              ///< picture looks that has been through a dVAE.
  int64_t cache_megabytes = 2000;  ///< Pictures are kept at the model's resolution when all of them fit.
  double max_bad = 0.001;          ///< Share of pictures that may be broken.
  uint64_t seed = 0;
};

struct PairBatch {
  std::vector<Image> pictures;        ///< [B] of resolution x resolution, RGB
  std::vector<std::string> captions;  ///< [B + M]: those of the pictures, then the near misses
  std::vector<int64_t> near_miss_of;  ///< [M]: the picture that each is nearly right about
};

class PairBatches {
 public:
  /// Reads all captions once when there are word classes: kinds have to be known. Error(input) for a pair
  /// without a caption.
  PairBatches(std::shared_ptr<const PairSource> source, const WordClasses& classes,
              const BatchOptions& options, int64_t resolution);
  ~PairBatches();

  /// The following batch is made while this one is used.
  PairBatch get(int64_t number);

 private:
  PairBatch make(int64_t number);
  std::vector<uint64_t> choose(int64_t number) const;
  Sample read(uint64_t index);
  Image augmented(const Image& picture, RandomStream& random) const;

  std::shared_ptr<const PairSource> source_;
  const WordClasses& classes_;
  BatchOptions options_;
  int resolution_;
  PairReader reader_;  // in the order of the source: positions are indices
  SampleOrder order_;
  std::vector<std::string> kinds_;  // by index; empty without classes
  std::unordered_map<std::string, std::vector<uint64_t>> kind_members_;
  std::vector<Image> cache_;  // by index; empty when the pictures do not fit
  std::vector<std::string> captions_;
  std::future<PairBatch> next_;
  int64_t next_number_ = -1;
};

/// A picture that is blurred by shrinking, and whose cells of 1/32 of the side get small random tints.
Image softened(const Image& picture, RandomStream& random);

}  // namespace dalle1::clip
