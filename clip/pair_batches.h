// Training batches of pictures, captions, and captions and pictures that are wrong, a function of (seed,
// batch number).
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "clip/word_classes.h"
#include "core/data/pair_reader.h"
#include "core/train/batch_share.h"

namespace dalle1::clip {

struct BatchOptions {
  int64_t batch = 64;
  int64_t near_misses = 3;    ///< Wrong captions of each picture, at most; needs word classes.
  int64_t drawn = 16;         ///< Drawn pictures of a batch, where there are any (PairBatches).
  float kind_share = 0.5f;    ///< Part of the batch whose captions are of one kind (WordClasses::kind_of).
  float least_crop = 0.92f;   ///< Side of the random crops; they are enlarged back to the resolution.
  float soften_share = 0.0f;  ///< Part of the pictures that are blurred and tinted by cells, which is how a
                              ///< picture looks that has been through a dVAE.
  int64_t cache_megabytes = 2000;  ///< Pictures are kept at the model's resolution when all of them fit.
  double max_bad = 0.001;          ///< Share of pairs that may be broken or without caption.
  /// Called once for each of them with one line that names it and says why.
  std::function<void(const std::string&)> on_bad = {};
  uint64_t seed = 0;
  BatchShare share = {};  ///< The batches that are asked for.
};

struct PairBatch {
  std::vector<Image> pictures;        ///< [B + D], square, RGB: those of the captions, then drawn ones
  std::vector<std::string> captions;  ///< [B + M]: those of the pictures, then the near misses
  std::vector<int64_t> near_miss_of;  ///< [M]: the picture that each is nearly right about
  std::vector<int64_t> drawn_for;     ///< [D]: the caption that each was drawn for and does not show
};

/// Pairs by index, their pictures at one resolution, kept in memory when all of them fit.
class PreparedPairs {
 public:
  PreparedPairs(std::shared_ptr<const PairSource> source, const BatchOptions& options, int resolution);

  uint64_t size() const { return reader_.size(); }
  /// For a broken pair, one further on.
  Sample read(uint64_t index);
  /// Whatever its picture is like; empty when it has none that can be read.
  std::string caption(uint64_t index) { return reader_.read_caption(index).value_or(""); }

 private:
  PairReader reader_;  // in the order of the source: positions are indices
  int resolution_;
  std::vector<Image> cache_;  // by index; empty when the pictures do not fit
  std::vector<std::string> captions_;
};

/// How pairs are read: in the order of the source, with captions.
PairReaderOptions reading_of(const BatchOptions& options);

class PairBatches {
 public:
  /// Reads all captions once when there are word classes or drawn pictures. `drawn` are pictures that a model
  /// drew for captions of `source` and that do not show them, or null; those of other captions are left out.
  /// A near miss says only combinations of words (WordClasses::combinations) that some caption of `source`
  /// says: else what no picture shows, such as a pair of words that is held out, would be learned to be wrong
  /// about all of them. Error(input) when every drawn picture is of another caption.
  PairBatches(std::shared_ptr<const PairSource> source, std::shared_ptr<const PairSource> drawn,
              const WordClasses& classes, const BatchOptions& options, int64_t resolution);
  ~PairBatches();

  /// The following batch is made while this one is used.
  PairBatch get(int64_t number);

 private:
  struct Choice {
    std::vector<uint64_t> pairs;
    std::vector<uint64_t> drawn;  // drawn[i] was drawn for the caption of pairs[i]
  };

  PairBatch make(int64_t number);
  Choice choose(int64_t number) const;
  int64_t of_kind() const;  // how many pairs of a batch
  void match_drawn(const std::unordered_map<std::string, std::vector<uint64_t>>& of_caption);
  bool is_familiar(const std::string& caption) const;
  Image augmented(const Image& picture, RandomStream& random) const;

  const WordClasses& classes_;
  BatchOptions options_;
  int resolution_;
  PreparedPairs pairs_;
  std::optional<PreparedPairs> drawn_;
  SampleOrder order_;
  std::vector<std::string> kinds_;  // by index; empty without classes
  std::unordered_map<std::string, std::vector<uint64_t>> kind_members_;
  std::unordered_set<std::string> combinations_;  // that the captions say
  // Drawn pictures, each with the pairs of its caption.
  std::vector<std::pair<uint64_t, std::vector<uint64_t>>> matches_;
  std::future<PairBatch> next_;
  int64_t next_number_ = -1;
};

/// A picture that is blurred by shrinking, and whose cells of 1/32 of the side get small random tints.
Image softened(const Image& picture, RandomStream& random);

}  // namespace dalle1::clip
