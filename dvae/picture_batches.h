// Training batches of picture crops, a function of (seed, batch number).
#pragma once

#include <future>
#include <memory>

#include "core/data/pair_reader.h"
#include "core/tensor/tensor.h"
#include "core/train/batch_share.h"

namespace dalle1::dvae {

/// The paper's augmentation (appendix A.2, listing 1): a random square of the picture, shrunk by area to a
/// random side between 9/8 and 12/8 of `resolution` (never enlarged unless smaller than `crop`), a random
/// crop, a random mirror.
struct BatchOptions {
  int64_t batch = 32;
  int crop = 64;              ///< Side of the crops, at most `resolution`.
  int resolution = 256;       ///< Side of the pictures that the model is made for.
  int crops_per_picture = 1;  ///< More of them save decoding; divides `batch`.
  /// The crop is the one with most detail among so many random ones. Flat art has little to learn from
  /// elsewhere.
  int crop_candidates = 1;
  bool mirror = true;
  float dither = 0.0f;  ///< Uniform noise of this width in 8-bit levels, so that flat colours have no
                        ///< infinite likelihood.
  uint64_t seed = 0;
  BatchShare share = {};  ///< The batches that are asked for.
};

class PictureBatches {
 public:
  PictureBatches(std::shared_ptr<PairReader> reader, const BatchOptions& options);
  ~PictureBatches();

  /// f32 [batch, 3, crop, crop] in [0, 1]. The following batch is read while this one is used.
  Tensor get(Device& device, int64_t number);

 private:
  std::vector<float> make(int64_t number);
  Image square_of(uint64_t slot, int64_t number, RandomStream& random);

  std::shared_ptr<PairReader> reader_;
  BatchOptions options_;
  std::future<std::vector<float>> next_;
  int64_t next_number_ = -1;
};

/// Several sets of pictures as one: their indices follow each other.
std::shared_ptr<PairSource> join_sources(std::vector<std::unique_ptr<PairSource>> sources);

/// The first `keep` pictures of a set as one set and the others as another, over the same source.
std::pair<std::shared_ptr<PairSource>, std::shared_ptr<PairSource>> split_source(
    const std::shared_ptr<PairSource>& source, uint64_t keep);

/// RGB pictures of equal size as f32 [B, 3, H, W] in [0, 1], and back with values truncated to 8 bits as
/// OpenAI's tools do (floor of 255 x).
Tensor tensor_of_images(Device& device, const std::vector<Image>& images);
std::vector<Image> images_of_tensor(const Tensor& images);

}  // namespace dalle1::dvae
