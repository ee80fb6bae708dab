// What is decoded: a prompt, cells that are given, and how the others are drawn; and what its one pass
// through the model leaves behind for all of its candidates.
#pragma once

#include <span>
#include <vector>

#include "transformer/model.h"
#include "transformer/sampler.h"

namespace dalle1::transformer {

struct DecodeRequest {
  std::vector<int64_t> text;  ///< text_length ids (see fill_text_slots).
  /// The same of the unconditional or negative prompt; needed with guidance.
  std::vector<int64_t> unconditional;
  std::vector<int64_t> forced;  ///< A token per grid cell, -1 where it is sampled; empty: all are sampled.
  SamplingOptions sampling;
  /// Forced first cells go into the prefill. Off, they are decoded one by one: the reference for tests.
  bool prefill_forced = true;
  /// Keeps all keys instead of those that a later query sees: the reference for tests.
  bool retain_all = false;
  CacheType cache = CacheType::automatic;
};

/// What one prompt leaves behind after one forward pass: its text, followed by forced first cells of the
/// picture.
class Prefix {
 public:
  /// `text`: text_length ids, padding in place. `first_cells`: tokens of the grid's first cells, all of them
  /// at most.
  Prefix(Context& context, const Transformer& model, std::span<const int64_t> text,
         std::span<const int64_t> first_cells);

  std::span<const LayerPrefix> layers() const { return layers_; }
  /// Logits of the first cell that is not forced, [1, image_vocab]; undefined when all cells are.
  const Tensor& logits() const { return logits_; }
  /// Keeps keys and values in the type that goes with a cache.
  void keep_as(CacheType type);
  /// Sum of ln p over the forced first cells.
  double log_likelihood() const { return log_likelihood_; }

 private:
  std::vector<LayerPrefix> layers_;
  Tensor logits_;
  double log_likelihood_ = 0;
};

/// A request after its prefill, read-only: several threads may decode from it.
class Prompt {
 public:
  /// Runs the prefill. Error(input) for ids or cells outside of the model's sizes.
  Prompt(Context& context, const Transformer& model, DecodeRequest request);

  const Transformer& model() const { return model_; }
  const DecodeRequest& request() const { return request_; }
  const nn::Linear& head() const { return head_; }  ///< Of the image.
  /// That of the text; with guidance also that of the unconditional text.
  std::span<const Prefix> prefixes() const { return prefixes_; }
  const SlotPlans& plans() const { return plans_; }
  /// First cells of the grid that are in the prefixes.
  int32_t prefilled() const { return prefilled_; }

 private:
  void check_request() const;

  const Transformer& model_;
  const nn::Linear head_;
  DecodeRequest request_;
  int32_t prefilled_ = 0;
  std::vector<Prefix> prefixes_;
  SlotPlans plans_;
};

}  // namespace dalle1::transformer
